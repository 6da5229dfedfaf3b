#include "optim/loraplus.h"

namespace lorikeet {

void apply_loraplus(TrainableStore& store, double ratio) {
  for (Parameter& p : store.parameters())
    if (p.kind == ParameterKind::lora_b || p.value.rows == 1) p.rate_factor = ratio;
}

}  // namespace lorikeet
