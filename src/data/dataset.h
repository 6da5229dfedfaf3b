#pragma once
// A data set in memory: every row tokenized, with what happened on the way.
#include <string>
#include <utility>
#include <vector>

#include "core/thread_pool.h"
#include "data/formats/format.h"
#include "data/row_tokenizer.h"

namespace lorikeet {

struct DatasetOptions {
  DataFormat format = DataFormat::automatic;
  DataColumns columns;
  RowTokenizerOptions rows;
  bool skip_rows_without_targets = false;
};

struct Dataset {
  std::vector<std::string> files;
  DataFormat format = DataFormat::automatic;
  std::string format_name;
  bool format_detected = false;
  std::vector<Sample> samples;
  int64_t tokens = 0, target_tokens = 0, longest = 0;
  int64_t rows_cut = 0, tokens_cut = 0, rows_dropped = 0;

  /// Bytes that the samples hold.
  int64_t bytes() const;
};

/// Reads and tokenizes all rows of `files`, on all threads; the result does not depend on their number.
///
/// Throws Error(format) naming file and line for the first row that is broken or has no target token (unless
/// these are to be skipped), Error(usage) for options that the format has no use for.
Dataset load_dataset(const std::vector<std::string>& files, const DatasetOptions& options,
                     const Tokenizer* tokenizer, const ChatTemplate* chat_template, ThreadPool& threads);

/// Holds out ceil(share * rows), chosen with the seed, at least one and not all: {kept, held out}, both in
/// the order of the data. Counters of cut and dropped rows stay with the first. Throws Error(usage) for fewer
/// than two rows.
std::pair<Dataset, Dataset> split_dataset(Dataset all, double share, uint64_t seed);

/// One case per row, for exact match. Throws as load_dataset.
std::vector<CompletionCase> load_completion_cases(const std::vector<std::string>& files,
                                                  const DatasetOptions& options, const Tokenizer* tokenizer,
                                                  const ChatTemplate* chat_template, ThreadPool& threads);

/// A stretch of a sample's text that is, or is not, a target.
struct TextPiece {
  std::string text;
  bool target = false;
};
/// The text of a sample as the model sees it, special tokens included, at most `max_tokens` of it.
std::vector<TextPiece> preview(const Sample& sample, const Tokenizer& tokenizer,
                               size_t max_tokens = SIZE_MAX);

}  // namespace lorikeet
