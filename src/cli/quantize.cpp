// lorikeet quantize: writes a bitsandbytes 4-bit checkpoint.
#include "export/quantize.h"

#include <array>

#include "cli/command.h"
#include "cli/layer_error_text.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "cli/use_options.h"
#include "core/error.h"
#include "train/calibration.h"
#include "train/loaded_model.h"
#include "train/run_data.h"

namespace lorikeet::cli {
namespace {

struct QuantizeOptions {
  std::string output;
  int64_t calibration_rows = 128;
};

std::span<const Key<QuantizeOptions>> table() {
  using O = QuantizeOptions;
  static const std::array rows{
      key<&O::output>("output", "quantize", "folder to write").required().path(),
      key<&O::calibration_rows>("calibration_rows", "quantize", "rows of --data that the codes are chosen by")
          .range(1, 1 << 20),
  };
  return rows;
}

struct Calibrated {
  CalibratedWeights weights;
  int64_t rows = 0, tokens = 0;
};

/// Rounds by the rows of the data, with a line of progress for each block.
Calibrated calibrated_weights(const RunConfig& config, const QuantizeOptions& own, const ModelFiles& files,
                              const Bnb4Options& bnb, ThreadPool& threads) {
  Calibrated c;
  const std::vector<Sample> rows =
      spread_samples(load_rows(config, files, threads).samples, own.calibration_rows);
  for (const Sample& s : rows) c.tokens += static_cast<int64_t>(s.input_ids.size());
  c.rows = static_cast<int64_t>(rows.size());
  CalibrationOptions options{bnb, resolve_compute_dtype(config.compute_dtype), {}};
  options.after = [](int64_t done, int64_t blocks) {
    if (!is_quiet()) note(fmt::format("calibrated block {}/{}\n", done, blocks));
  };
  c.weights = calibrate(files, rows, options, threads);
  return c;
}

}  // namespace

int run_quantize(const std::vector<std::string>& arguments) {
  CommandLine line("quantize", "quantize --model M --output DIR [--bnb-4bit-quant-type nf4] [--data F]",
                   "Writes a model with 4-bit linear layers that transformers loads with bitsandbytes and "
                   "finetune takes as it is, and reports the error of each layer. With --data the codes are "
                   "chosen so that the layers' outputs on these rows change least, which costs a small model "
                   "far less accuracy than the nearest codes.");
  RunConfig config;
  QuantizeOptions own;
  line.options.add(own, table());
  line.options.add_run_keys(config, {"model", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant",
                                     "bnb_4bit_blocksize", "overwrite", "threads", "data"});
  add_row_keys(line.options, config);
  line.options.add_run_keys(config, {"compute_dtype", "chat_template"});
  line.options.show_default("data", "none: the nearest codes");
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.model, "--model", "quantize");
  require(own.output, "--output", "quantize");
  if (line.options.given("calibration_rows") && config.data.empty())
    throw Error(ErrorKind::usage, "--calibration-rows counts rows of --data, which is missing",
                "lorikeet quantize", "add --data");

  const ModelFiles files = ModelFiles::open(config.model);
  ThreadPool threads(static_cast<int>(config.threads.value_or(ThreadPool::available_cpus())));
  const auto if_exists = config.overwrite ? AtomicFolder::IfExists::replace : AtomicFolder::IfExists::refuse;
  const Bnb4Options bnb = load_request(config).bnb;
  Calibrated calibrated;
  if (!config.data.empty()) {
    AtomicFolder::expect_free(own.output, if_exists);
    calibrated = calibrated_weights(config, own, files, bnb, threads);
  }
  const QuantizeReport r = quantize_model(files, bnb, own.output, if_exists, threads, calibrated.weights);
  if (line.common.json) {
    Json json = layer_errors_json(r.layers);
    if (!config.data.empty())
      json["calibration"] = {{"rows", calibrated.rows},
                             {"tokens", calibrated.tokens},
                             {"layers", calibrated.weights.size()},
                             {"output_error_ratio", output_error_ratio(r.layers).value_or(1)}};
    json["output"] = own.output;
    json["bytes"] = r.bytes;
    out().json(json);
    return 0;
  }
  print_layer_errors(r.layers);
  if (!config.data.empty())
    out().line(
        fmt::format("calibrated   {} of {} layers on {} rows, {} tokens: their outputs change {:.2f} times "
                    "as much as by the nearest codes",
                    calibrated.weights.size(), r.layers.size(), with_commas(calibrated.rows),
                    with_commas(calibrated.tokens), output_error_ratio(r.layers).value_or(1)));
  out().line(fmt::format("written      {}/  ({}, what stays dense in {})", own.output, in_bytes(r.bytes),
                         name_of(r.dtype)));
  return 0;
}

}  // namespace lorikeet::cli
