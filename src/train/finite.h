#pragma once
// Where numbers stopped being numbers: what the errors of a run name.
#include <string>

#include "lora/trainable_store.h"
#include "model/files.h"

namespace lorikeet {

/// "name [row,column] is nan" for the first trained value that is NaN or infinite; empty if there is none.
std::string non_finite_value(const TrainableStore& store);

/// The same for the weights of the model's files, decoded. Reads all of them.
std::string non_finite_weight(const ModelFiles& files);

}  // namespace lorikeet
