#include "optim/loraplus.h"

namespace lorikeet {

namespace {

constexpr double kEmbeddingRate = 1e-6;

double rate_factor(const Parameter& p, double ratio, double learning_rate) {
  switch (p.kind) {
    case ParameterKind::lora_b:
    case ParameterKind::lora_bias:
    case ParameterKind::lora_magnitude:
      return ratio;
    case ParameterKind::embedding_a:
    case ParameterKind::embedding_b:
      return learning_rate > 0 ? kEmbeddingRate / learning_rate : 0;
    case ParameterKind::base:
      return p.value.rows == 1 ? ratio : 1;
    case ParameterKind::lora_a:
    case ParameterKind::token_rows:
      break;
  }
  return 1;
}

}  // namespace

void apply_loraplus(TrainableStore& store, double ratio, double learning_rate) {
  for (Parameter& p : store.parameters()) p.rate_factor = rate_factor(p, ratio, learning_rate);
}

}  // namespace lorikeet
