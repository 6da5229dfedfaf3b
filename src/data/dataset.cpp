#include "data/dataset.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>

#include "core/error.h"
#include "data/shuffle.h"

namespace lorikeet {

namespace {

/// Rows that one thread takes at a time: few enough to balance, many enough to amortise.
constexpr size_t kRowsPerItem = 16;

/// Calls f(row) for every row on all threads and throws what the first failing row, in order, threw.
template <class F>
void for_each_row(ThreadPool& threads, size_t rows, const F& f) {
  const size_t items = (rows + kRowsPerItem - 1) / kRowsPerItem;
  std::vector<std::exception_ptr> errors(items);
  std::atomic<size_t> first_failed{items};
  threads.for_each(static_cast<int64_t>(items), [&](int64_t n, int) {
    const auto item = static_cast<size_t>(n);
    if (item > first_failed.load(std::memory_order_relaxed)) return;  // an earlier row fails anyway
    try {
      for (size_t row = item * kRowsPerItem; row < std::min(rows, (item + 1) * kRowsPerItem); ++row) f(row);
    } catch (...) {
      errors[item] = std::current_exception();
      size_t seen = first_failed.load();
      while (item < seen && !first_failed.compare_exchange_weak(seen, item)) {
      }
    }
  });
  if (const size_t failed = first_failed.load(); failed < items) std::rethrow_exception(errors[failed]);
}

const DatasetFormat& format_of(const RowSource& source, const DatasetOptions& o) {
  return o.format == DataFormat::automatic ? detect_format(source, o.columns) : dataset_format(o.format);
}

/// A key that the format cannot use would be ignored, and nothing is.
void check_options(const DatasetFormat& format, const DatasetOptions& o) {
  const auto refuse = [&](const char* key) {
    throw Error(ErrorKind::usage,
                fmt::format("{} has no meaning for data of the format {}", key, format.name), key,
                "leave it out, or set data_format");
  };
  const DataFormat id = format.id;
  if ((o.columns.prompt || o.columns.completion) && id != DataFormat::prompt_completion)
    refuse(o.columns.prompt ? "prompt_column" : "completion_column");
  if (o.columns.text && id != DataFormat::text) refuse("text_column");
  if (o.columns.completion_separator && id != DataFormat::text) refuse("completion_separator");
  if (o.columns.completion_separator && o.columns.completion_separator->empty())
    throw Error(ErrorKind::usage, "completion_separator is empty", "completion_separator",
                "give the text that stands before completions");
  if (o.columns.messages && id != DataFormat::messages && id != DataFormat::sharegpt)
    refuse("messages_column");
  if (o.rows.system_prompt && (id == DataFormat::text || id == DataFormat::tokenized))
    refuse("system_prompt");
}

void check_example(const Example& e, const DatasetOptions& o, const RowPlace& place) {
  if (o.rows.system_prompt && e.kind != Example::Kind::conversation)
    throw Error(ErrorKind::usage,
                fmt::format("system_prompt has no meaning for row {}, which is no conversation", place.row),
                place.text(), "leave out system_prompt");
}

void count(Dataset& d) {
  d.tokens = d.target_tokens = d.longest = 0;
  for (const Sample& s : d.samples) {
    const auto n = static_cast<int64_t>(s.input_ids.size());
    d.tokens += n;
    d.target_tokens += s.target_count();
    d.longest = std::max(d.longest, n);
  }
}

}  // namespace

int64_t Dataset::bytes() const {
  size_t bytes = samples.capacity() * sizeof(Sample);
  for (const Sample& s : samples) bytes += (s.input_ids.capacity() + s.labels.capacity()) * sizeof(int32_t);
  return static_cast<int64_t>(bytes);
}

Dataset load_dataset(const std::vector<std::string>& files, const DatasetOptions& options,
                     const Tokenizer* tokenizer, const ChatTemplate* chat_template, ThreadPool& threads) {
  const RowSource source(files);
  const DatasetFormat& format = format_of(source, options);
  check_options(format, options);
  const RowTokenizer row_tokenizer(tokenizer, chat_template, options.rows);
  std::vector<TokenizedRow> rows(source.size());
  for_each_row(threads, rows.size(), [&](size_t i) {
    const RowPlace place = source.place(i);
    const Example example = format.parse(source.row(i), options.columns, place);
    check_example(example, options, place);
    rows[i] = row_tokenizer.tokenize(example, place);
    if (rows[i].without_targets.empty()) {
      rows[i].sample.input_ids.shrink_to_fit();
      rows[i].sample.labels.shrink_to_fit();
    } else if (!options.skip_rows_without_targets) {
      throw Error(ErrorKind::format,
                  fmt::format("row {} has no target token: {}", place.row, rows[i].without_targets),
                  place.text(), "remove the row, or pass --skip-rows-without-targets");
    }
  });
  Dataset d;
  d.files = files;
  d.format = format.id;
  d.format_name = format.name;
  d.format_detected = options.format == DataFormat::automatic;
  d.samples.reserve(rows.size());
  for (TokenizedRow& row : rows) {
    if (!row.without_targets.empty()) {
      ++d.rows_dropped;
      continue;
    }
    d.rows_cut += row.cut > 0;
    d.tokens_cut += row.cut;
    d.samples.push_back(std::move(row.sample));
  }
  if (d.samples.empty())
    throw Error(ErrorKind::format, fmt::format("none of the {} rows has a target token", rows.size()),
                files.front(), "look at the rows with lorikeet inspect data");
  count(d);
  return d;
}

std::pair<Dataset, Dataset> split_dataset(Dataset all, double share, uint64_t seed) {
  const size_t n = all.samples.size();
  if (n < 2)
    throw Error(ErrorKind::usage, fmt::format("eval_split needs at least two rows, the data has {}", n),
                "eval_split", "give more data, or leave out eval_split");
  const auto wanted = static_cast<size_t>(std::ceil(share * static_cast<double>(n)));
  const size_t held_out = std::clamp<size_t>(wanted, 1, n - 1);
  const std::vector<uint32_t> order = shuffled(n, seed, "eval_split", 0);
  std::vector<bool> is_held_out(n);
  for (size_t i = 0; i < held_out; ++i) is_held_out[order[i]] = true;
  std::pair<Dataset, Dataset> parts;
  auto& [kept, eval] = parts;
  std::vector<Sample> samples = std::move(all.samples);
  all.samples.clear();
  kept = eval = all;
  eval.rows_cut = eval.tokens_cut = eval.rows_dropped = 0;
  kept.samples.reserve(n - held_out);
  eval.samples.reserve(held_out);
  for (size_t i = 0; i < n; ++i) (is_held_out[i] ? eval : kept).samples.push_back(std::move(samples[i]));
  count(kept);
  count(eval);
  return parts;
}

std::vector<CompletionCase> load_completion_cases(const std::vector<std::string>& files,
                                                  const DatasetOptions& options, const Tokenizer* tokenizer,
                                                  const ChatTemplate* chat_template, ThreadPool& threads) {
  const RowSource source(files);
  const DatasetFormat& format = format_of(source, options);
  check_options(format, options);
  const RowTokenizer row_tokenizer(tokenizer, chat_template, options.rows);
  std::vector<CompletionCase> cases(source.size());
  for_each_row(threads, cases.size(), [&](size_t i) {
    const RowPlace place = source.place(i);
    cases[i] = row_tokenizer.completion_case(format.parse(source.row(i), options.columns, place), place);
  });
  return cases;
}

std::vector<TextPiece> preview(const Sample& sample, const Tokenizer& tokenizer, size_t max_tokens) {
  std::vector<TextPiece> pieces;
  const size_t n = std::min(sample.input_ids.size(), max_tokens);
  for (size_t begin = 0; begin < n;) {
    const bool target = sample.labels[begin] != kNoTarget;
    size_t end = begin;
    while (end < n && (sample.labels[end] != kNoTarget) == target) ++end;
    pieces.push_back({tokenizer.decode({sample.input_ids.data() + begin, end - begin}, false), target});
    begin = end;
  }
  return pieces;
}

}  // namespace lorikeet
