// lorikeet debug dump: the numbers of one batch, for comparison with other programs.
#include "export/debug_dump.h"

#include <algorithm>
#include <array>

#include "cli/command.h"
#include "cli/debug_commands.h"
#include "cli/output.h"
#include "cli/use_options.h"
#include "core/error.h"
#include "data/formats/format.h"
#include "data/row_source.h"
#include "train/loaded_model.h"
#include "train/use.h"

namespace lorikeet::cli {
namespace {

struct DumpOptions {
  std::vector<std::string> data;
  std::string output;
  bool gradients = false;
  bool hidden_states = false;
};

std::span<const Key<DumpOptions>> table() {
  using O = DumpOptions;
  static const std::array rows{
      key<&O::data>("data", "dump",
                    "tokenized rows: {\"input_ids\": [...], \"labels\": [...]}; together they form one batch")
          .required()
          .path(),
      key<&O::output>("output", "dump", "safetensors file to write").required().path(),
      key<&O::gradients>("gradients", "dump", "the gradient of the batch's mean loss too"),
      key<&O::hidden_states>("hidden_states", "dump",
                             "the input of each block and the last norm's output too"),
  };
  return rows;
}

std::vector<DumpRow> read_rows(const std::vector<std::string>& files) {
  const RowSource source(files);
  std::vector<DumpRow> rows;
  for (size_t i = 0; i < source.size(); ++i) {
    const RowPlace place = source.place(i);
    const Json row = source.row(i);
    if (!kTokenizedFormat.matches(row, {}))
      throw Error(ErrorKind::format, "the row is not tokenized", place.text(),
                  "write {\"input_ids\": [...], \"labels\": [...]}");
    Example example = kTokenizedFormat.parse(row, {}, place);
    rows.push_back({std::move(example.input_ids), std::move(example.labels)});
  }
  return rows;
}

}  // namespace

int run_debug_dump(const std::vector<std::string>& arguments) {
  CommandLine line(
      "debug dump",
      "debug dump --model M [--adapter A] --data tokenized.jsonl --output dump.safetensors [--gradients]",
      "Writes loss, logits and on request hidden states and gradients of one batch as float32 tensors. "
      "Gradients "
      "without an adapter are those of a fresh one, or of every weight with --method full.");
  RunConfig config;
  DumpOptions own;
  line.options.add(own, table());
  add_use_keys(line.options, config);
  line.options.add_run_keys(
      config, {"lora_r", "lora_alpha", "lora_target_modules", "lora_exclude_modules", "layers_to_transform",
               "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "init_lora_weights", "seed"});
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(own.data, "--data", "debug dump");
  require(own.output, "--output", "debug dump");
  check_use(config, "debug dump");

  const RunConfig used = config_for_use(config);
  DumpRequest request;
  request.rows = read_rows(own.data);
  request.gradients = own.gradients;
  request.hidden_states = own.hidden_states;
  request.output = own.output;

  const ModelFiles files = ModelFiles::open(used.model);
  check_fingerprint(used, files);
  LoadRequest load = load_request(used);
  if (!own.gradients) load.new_adapter.reset();
  load.train = own.gradients;
  size_t longest = 1;
  for (const DumpRow& row : request.rows) longest = std::max(longest, row.ids.size());
  load.positions = static_cast<int64_t>(longest);
  LoadedModel loaded(files, load);
  write_debug_dump(loaded.model(), loaded.trainable(), loaded.threads(), request);
  if (line.common.json)
    out().json(Json{{"output", own.output},
                    {"rows", request.rows.size()},
                    {"compute_dtype", name_of(loaded.compute())},
                    {"base_format", name_of(loaded.base_format())}});
  else if (!line.common.quiet)
    note(fmt::format("written   {}\n", own.output));
  return 0;
}

}  // namespace lorikeet::cli
