#include "train/run_data.h"

#include <span>

#include "core/error.h"
#include "model/gguf_family.h"
#include "text/sentencepiece.h"
#include "train/text_generator.h"

namespace lorikeet {

DatasetOptions dataset_options(const RunConfig& c, const ModelFiles& files) {
  DatasetOptions o;
  o.format = c.data_format;
  o.columns = {c.prompt_column, c.completion_column, c.text_column, c.messages_column,
               c.completion_separator};
  o.rows.system_prompt = c.system_prompt;
  o.rows.assistant_only_loss = c.assistant_only_loss;
  o.rows.completion_only_loss = c.completion_only_loss;
  o.rows.max_length = c.max_length;
  o.rows.vocab_size = files.spec().vocab_size;
  o.skip_rows_without_targets = c.skip_rows_without_targets;
  return o;
}

std::optional<Tokenizer> tokenizer_if_any(const ModelFiles& files) {
  const bool there =
      files.is_gguf() ? gguf_has_tokenizer(GgufFile::open(files.path())) : has_tokenizer(files.path());
  if (!there) return std::nullopt;
  return files.tokenizer();
}

RunData load_run_data(const RunConfig& c, const ModelFiles& files, const Tokenizer* tokenizer,
                      const ChatTemplate* chat_template, ThreadPool& threads) {
  const DatasetOptions options = dataset_options(c, files);
  RunData data;
  data.train = load_dataset(c.data, options, tokenizer, chat_template, threads);
  if (!c.eval_data.empty()) data.eval = load_dataset(c.eval_data, options, tokenizer, chat_template, threads);
  if (c.eval_split) {
    auto [kept, held_out] = split_dataset(std::move(data.train), *c.eval_split, c.seed);
    data.train = std::move(kept);
    data.eval = std::move(held_out);
  }
  return data;
}

Dataset load_rows(const RunConfig& c, const ModelFiles& files, ThreadPool& threads) {
  const std::optional<Tokenizer> tokenizer = tokenizer_if_any(files);
  std::optional<ChatTemplate> chat;
  if (tokenizer) chat = select_chat_template(c.chat_template, *tokenizer);
  Dataset data = load_dataset(c.data, dataset_options(c, files), tokenizer ? &*tokenizer : nullptr,
                              chat ? &*chat : nullptr, threads);
  expect_positions(data, files);
  return data;
}

void expect_positions(const Dataset& data, const ModelFiles& files) {
  const int64_t positions = files.spec().max_position_embeddings;
  if (data.longest > positions)
    throw Error(ErrorKind::usage,
                fmt::format("the longest row has {} tokens, the model {} positions", data.longest, positions),
                data.files.front(), fmt::format("cut the rows: --max-length {}", positions));
}

std::string data_fingerprint(const Dataset& data) {
  uint64_t h = 0xcbf29ce484222325u;
  const auto add = [&h](uint64_t x) { h = (h ^ x) * 0x9E3779B97F4A7C15u, h ^= h >> 29; };
  for (const Sample& s : data.samples) {
    add(static_cast<uint64_t>(s.row_id));
    add(s.input_ids.size());
    for (size_t i = 0; i < s.input_ids.size(); ++i)
      add(static_cast<uint64_t>(static_cast<uint32_t>(s.input_ids[i])) << 32 |
          static_cast<uint32_t>(s.labels[i]));
  }
  return fmt::format("{:016x}", h);
}

}  // namespace lorikeet
