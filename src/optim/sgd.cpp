// Stochastic gradient descent without momentum, and so without state: torch.optim.SGD as transformers uses
// it.
#include "optim/registry.h"

namespace lorikeet {

namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(TrainableStore& store, const OptimizerOptions& options, bool dry) : Optimizer(store, options) {
    allocate(dry);
  }

 private:
  void update(size_t i, const Stream& stream, const AdamWSettings& settings, BlockRange blocks) override {
    dispatch(stream, SgdArgs{store().value_of(tensor(i)), store().grad_of(tensor(i)), settings.lr,
                             settings.weight_decay, settings.grad_scale, rounding(i, settings.t), blocks});
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(TrainableStore& store, const OptimizerOptions& options, bool dry) {
  return std::make_unique<Sgd>(store, options, dry);
}

}  // namespace lorikeet
