#pragma once
#include "core/thread_pool.h"
#include "lora/targets.h"
#include "lora/trainable_store.h"
#include "model/loader.h"

namespace lorikeet {

/// True for starts that take the adapter's first value out of the base (pissa, olora). They need a dense base
/// whose matrices are LoadOptions::writable, and a store that keeps its start.
bool changes_base(LoraInit init);

/// Throws Error(usage), naming the module, where `init` has no values for it: the embedding and the head with
/// other starts than default and gaussian; an odd rank with orthogonal, one above the matrix's smaller side
/// with those made from it. Sizes are enough: for a dry store too.
void check_starts(const TrainableStore& store, const std::vector<Target>& targets, const ModelSpec& spec,
                  LoraInit init);

/// Gives A and B their initial values: init_lora, or those made from each module's weight W, with s the
/// scale.
///
///   pissa  s B A = the r largest singular triples of W, B and A sharing the values' roots; W loses s B A
///   olora  B = q, A = the first rows of r of W = q r; W loses s B A
///   loftq  s B A = the r largest singular triples of W - Q, with Q the 4-bit base as it is held and W the
///   file's
///          weights: one round of LoftQ. PEFT leaves out s here, which is right for s = 1 only.
///
/// Source: peft/tuners/lora/layer.py, peft/utils/loftq_utils.py. The values depend on the weights and the
/// seed only. Throws Error(usage), naming the module, for a rank above its smaller side.
void start_adapter(TrainableStore& store, const std::vector<Target>& targets, LoraInit init, uint64_t seed,
                   WeightStore& weights, ThreadPool& threads);

}  // namespace lorikeet
