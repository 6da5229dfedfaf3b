// lorikeet inspect data: the exact token stream of some rows, with what is learned set off from its context.
#include <unistd.h>

#include <array>

#include "cli/command.h"
#include "cli/inspect_commands.h"
#include "cli/marked_text.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/text_format.h"
#include "cli/use_options.h"
#include "core/error.h"
#include "train/run_data.h"
#include "train/text_generator.h"

namespace lorikeet::cli {
namespace {

struct InspectDataOptions {
  int64_t rows = 5;
};

std::span<const Key<InspectDataOptions>> table() {
  static const std::array rows{
      key<&InspectDataOptions::rows>("rows", "inspect", "rows shown").range(0, 1 << 30)};
  return rows;
}

std::vector<PreviewPiece> pieces_of(const Sample& sample, const Tokenizer& tokenizer) {
  std::vector<PreviewPiece> pieces;
  for (TextPiece& piece : preview(sample, tokenizer)) pieces.push_back({std::move(piece.text), piece.target});
  return pieces;
}

/// Where BOS, EOS and the tokens that end a turn stand: "BOS at 0 · ends of turn at 24*, 61" (a star: it is
/// learned).
std::string landmarks(const Sample& sample, const Tokenizer& tokenizer, const std::vector<int32_t>& ends) {
  std::string bos, eos;
  for (size_t i = 0; i < sample.input_ids.size(); ++i) {
    const int32_t id = sample.input_ids[i];
    const std::string place = fmt::format("{}{}", i, sample.labels[i] == kNoTarget ? "" : "*");
    const bool ends_text = std::find(ends.begin(), ends.end(), id) != ends.end() || tokenizer.eos_id() == id;
    if (ends_text)
      eos += (eos.empty() ? "" : ", ") + place;
    else if (tokenizer.bos_id() == id)
      bos += (bos.empty() ? "" : ", ") + place;
  }
  return fmt::format("BOS at {} · end of turn or text at {}", bos.empty() ? "none" : bos,
                     eos.empty() ? "none" : eos);
}

Json row_json(const Sample& sample, const Tokenizer* tokenizer) {
  Json json{{"row", sample.row_id + 1}, {"input_ids", sample.input_ids}, {"labels", sample.labels}};
  if (!tokenizer) return json;
  Json pieces = Json::array();
  for (const PreviewPiece& piece : pieces_of(sample, *tokenizer))
    pieces.push_back({{"text", piece.text}, {"target", piece.target}});
  json["pieces"] = pieces;
  return json;
}

size_t shown_rows(const Dataset& data, int64_t rows) {
  return std::min(data.samples.size(), static_cast<size_t>(rows));
}

void print_json(const Dataset& data, const Tokenizer* tokenizer, int64_t rows) {
  Json shown = Json::array();
  for (size_t i = 0; i < shown_rows(data, rows); ++i) shown.push_back(row_json(data.samples[i], tokenizer));
  out().json(Json{{"files", data.files},
                  {"format", data.format_name},
                  {"format_detected", data.format_detected},
                  {"rows", data.samples.size()},
                  {"tokens", data.tokens},
                  {"target_tokens", data.target_tokens},
                  {"longest", data.longest},
                  {"rows_cut", data.rows_cut},
                  {"tokens_cut", data.tokens_cut},
                  {"rows_dropped", data.rows_dropped},
                  {"shown", shown}});
}

void print(const Dataset& data, const Tokenizer* tokenizer, const std::vector<int32_t>& ends, int64_t rows) {
  const double share =
      data.tokens > 0 ? static_cast<double>(data.target_tokens) / static_cast<double>(data.tokens) : 0;
  out().line(fmt::format("format  {}{}", data.format_name, data.format_detected ? " (detected)" : ""));
  out().line(fmt::format("rows    {} · {} dropped · {} cut ({} tokens lost)",
                         with_commas(static_cast<int64_t>(data.samples.size())),
                         with_commas(data.rows_dropped), with_commas(data.rows_cut),
                         with_commas(data.tokens_cut)));
  out().line(fmt::format("tokens  {}, {} of them targets ({}) · longest row {}", with_commas(data.tokens),
                         with_commas(data.target_tokens), as_percent(share), with_commas(data.longest)));
  const bool colour = has_colour(STDOUT_FILENO);
  for (size_t i = 0; i < shown_rows(data, rows); ++i) {
    const Sample& sample = data.samples[i];
    out().line(fmt::format("\nrow {} · {} tokens, {} targets{}", sample.row_id + 1,
                           with_commas(static_cast<int64_t>(sample.input_ids.size())),
                           with_commas(sample.target_count()),
                           tokenizer ? " · " + landmarks(sample, *tokenizer, ends) : ""));
    if (tokenizer) out().line(marked_text(pieces_of(sample, *tokenizer), colour, 0));
  }
}

}  // namespace

int run_inspect_data(const std::vector<std::string>& arguments) {
  CommandLine line(
      "inspect data", "inspect data --model M --data F [--rows 5] [--json]",
      "Shows rows as the model sees them: targets stand between ▌ and ▐, and in colour on a terminal.");
  RunConfig config;
  InspectDataOptions own;
  line.options.add_run_keys(config, {"model", "data"});
  line.options.add(own, table());
  add_row_keys(line.options, config);
  line.options.add_run_keys(config, {"chat_template", "system_prompt", "threads"});
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.model, "--model", "inspect data");
  require(config.data, "--data", "inspect data");
  validate(config);

  const ModelFiles files = ModelFiles::open(config.model);
  const std::optional<Tokenizer> tokenizer = tokenizer_if_any(files);
  std::optional<ChatTemplate> chat;
  if (tokenizer) chat = select_chat_template(config.chat_template, *tokenizer);
  ThreadPool threads(static_cast<int>(config.threads.value_or(ThreadPool::available_cpus())));
  const Tokenizer* t = tokenizer ? &*tokenizer : nullptr;
  const Dataset data =
      load_dataset(config.data, dataset_options(config, files), t, chat ? &*chat : nullptr, threads);
  if (line.common.json)
    print_json(data, t, own.rows);
  else
    print(data, t, files.eos_token_ids(), own.rows);
  return 0;
}

}  // namespace lorikeet::cli
