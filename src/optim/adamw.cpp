// AdamW with f32 moments: torch.optim.AdamW, and bitsandbytes' paged_adamw_32bit.
#include "optim/registry.h"

namespace lorikeet {

namespace {

class AdamW final : public Optimizer {
 public:
  AdamW(TrainableStore& store, const OptimizerOptions& options, bool dry) : Optimizer(store, options) {
    for (size_t i = 0; i < store.tensors().size(); ++i) {
      declare(i, "m.", SafetensorsType::f32);
      declare(i, "v.", SafetensorsType::f32);
    }
    allocate(dry);
  }

 private:
  void update(size_t i, const Stream& stream, const AdamWSettings& settings, BlockRange blocks) override {
    dispatch(stream, AdamWArgs{store().value_of(tensor(i)), store().grad_of(tensor(i)), vector(2 * i),
                               vector(2 * i + 1), settings, rounding(i, settings.t), blocks});
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(TrainableStore& store, const OptimizerOptions& options, bool dry) {
  return std::make_unique<AdamW>(store, options, dry);
}

}  // namespace lorikeet
