#pragma once
// The data of a run: the configuration's keys applied to files.
#include <optional>

#include "data/dataset.h"
#include "model/files.h"

namespace lorikeet {

/// How rows become samples for this model under the data keys of `config`.
DatasetOptions dataset_options(const RunConfig& config, const ModelFiles& files);

/// The tokenizer, or nothing for a model folder without one (tokenized data needs none).
std::optional<Tokenizer> tokenizer_if_any(const ModelFiles& files);

struct RunData {
  Dataset train;
  std::optional<Dataset> eval;
};

/// Training rows and, by eval_data or eval_split, the held-out ones. Throws as load_dataset and
/// split_dataset.
RunData load_run_data(const RunConfig& config, const ModelFiles& files, const Tokenizer* tokenizer,
                      const ChatTemplate* chat_template, ThreadPool& threads);

/// The rows of `config.data` alone, with the model's tokenizer and chat template. Throws as load_dataset and
/// expect_positions.
Dataset load_rows(const RunConfig& config, const ModelFiles& files, ThreadPool& threads);

/// Throws Error(usage) if a row has more tokens than the model has positions.
void expect_positions(const Dataset& data, const ModelFiles& files);

/// Identifies rows, ids and labels, as hexadecimal text.
std::string data_fingerprint(const Dataset& data);

}  // namespace lorikeet
