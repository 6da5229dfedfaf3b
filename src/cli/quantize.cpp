// lorikeet quantize: writes a bitsandbytes 4-bit checkpoint.
#include "export/quantize.h"

#include <array>

#include "cli/command.h"
#include "cli/layer_error_text.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "train/loaded_model.h"

namespace lorikeet::cli {
namespace {

struct QuantizeOptions {
  std::string output;
};

std::span<const Key<QuantizeOptions>> table() {
  static const std::array rows{
      key<&QuantizeOptions::output>("output", "quantize", "folder to write").required().path()};
  return rows;
}

}  // namespace

int run_quantize(const std::vector<std::string>& arguments) {
  CommandLine line("quantize", "quantize --model M --output DIR [--bnb-4bit-quant-type nf4]",
                   "Writes a model with 4-bit linear layers that transformers loads with bitsandbytes and "
                   "finetune takes as it is, and reports the error of each layer.");
  RunConfig config;
  QuantizeOptions own;
  line.options.add(own, table());
  line.options.add_run_keys(config, {"model", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant",
                                     "bnb_4bit_blocksize", "overwrite", "threads"});
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.model, "--model", "quantize");
  require(own.output, "--output", "quantize");

  const ModelFiles files = ModelFiles::open(config.model);
  ThreadPool threads(static_cast<int>(config.threads.value_or(ThreadPool::available_cpus())));
  const auto if_exists = config.overwrite ? AtomicFolder::IfExists::replace : AtomicFolder::IfExists::refuse;
  const QuantizeReport r = quantize_model(files, load_request(config).bnb, own.output, if_exists, threads);
  if (line.common.json) {
    Json json = layer_errors_json(r.layers);
    json["output"] = own.output;
    json["bytes"] = r.bytes;
    out().json(json);
    return 0;
  }
  print_layer_errors(r.layers);
  out().line(fmt::format("written      {}/  ({}, what stays dense in {})", own.output, in_bytes(r.bytes),
                         name_of(r.dtype)));
  return 0;
}

}  // namespace lorikeet::cli
