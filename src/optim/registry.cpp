#include "optim/registry.h"

#include "core/error.h"

namespace lorikeet {

namespace {

constexpr OptimizerRow kOptimizers[] = {
    {Optim::adamw, make_adamw, Optim::adamw},
    {Optim::adamw_8bit, make_adamw_8bit, Optim::adamw_8bit},
    {Optim::paged_adamw_32bit, make_adamw, Optim::adamw},
    {Optim::paged_adamw_8bit, make_adamw_8bit, Optim::adamw_8bit},
    {Optim::sgd, make_sgd, Optim::sgd},
};

}  // namespace

std::span<const OptimizerRow> optimizers() { return kOptimizers; }

const OptimizerRow& optimizer_row(Optim optim) {
  const OptimizerRow* found = nullptr;
  for (const OptimizerRow& row : kOptimizers)
    if (row.optim == optim) found = &row;
  LORIKEET_CHECK(found);
  return *found;
}

std::unique_ptr<Optimizer> make_optimizer(TrainableStore& store, const OptimizerOptions& options, bool dry) {
  return optimizer_row(options.optim).make(store, options, dry);
}

Optim unpaged(Optim optim) { return optimizer_row(optim).unpaged; }
bool is_paged(Optim optim) { return unpaged(optim) != optim; }

}  // namespace lorikeet
