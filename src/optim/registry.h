#pragma once
#include <span>

#include "optim/optimizer.h"

namespace lorikeet {

using OptimizerMaker = std::unique_ptr<Optimizer> (*)(TrainableStore& store, const OptimizerOptions& options,
                                                      bool dry);

std::unique_ptr<Optimizer> make_adamw(TrainableStore& store, const OptimizerOptions& options, bool dry);
std::unique_ptr<Optimizer> make_adamw_8bit(TrainableStore& store, const OptimizerOptions& options, bool dry);
std::unique_ptr<Optimizer> make_sgd(TrainableStore& store, const OptimizerOptions& options, bool dry);

struct OptimizerRow {
  Optim optim;
  OptimizerMaker make;
  Optim unpaged;  ///< itself, or what it is without paging
};

std::span<const OptimizerRow> optimizers();
const OptimizerRow& optimizer_row(Optim optim);

}  // namespace lorikeet
