#pragma once
// What a step will need, to the byte, before anything is allocated: the very code that trains runs once on a
// dry arena.
#include <span>

#include "model/decoder.h"

namespace lorikeet {

/// The micro-batch to plan for: the lengths of its rows.
using RowLengths = std::span<const int32_t>;

/// Arena bytes of one forward_backward over rows of these lengths, every position labelled.
struct StepBytes {
  uint64_t activation = 0, workspace = 0;
  uint64_t total() const { return activation + workspace; }
};
StepBytes step_bytes(const Model& model, Device device, ThreadPool& threads, RowLengths rows,
                     int64_t kept_blocks);

/// Arena bytes of evaluating the same rows.
StepBytes evaluation_bytes(const Model& model, Device device, ThreadPool& threads, RowLengths rows);

/// The largest number of kept blocks whose step fits `budget` bytes; -1 if not even recomputing all of them
/// does.
int64_t most_kept_blocks(const Model& model, Device device, ThreadPool& threads, RowLengths rows,
                         uint64_t budget);

/// Allowance for the program itself: code, stacks, tokenizer tables and `data_bytes` of tokenized rows.
/// makes_tokenizer: at the end tokenizer.json is made from a GGUF file's metadata.
uint64_t process_allowance(uint64_t vocab_size, uint64_t data_bytes, int threads, bool makes_tokenizer);

}  // namespace lorikeet
