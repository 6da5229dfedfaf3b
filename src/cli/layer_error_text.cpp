#include "cli/layer_error_text.h"

#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/text_format.h"

namespace lorikeet::cli {

void print_layer_errors(const std::vector<LayerError>& layers) {
  std::vector<std::vector<std::string>> rows{{"layer", "bits", "relative RMS", "worst block", "at"}};
  for (const LayerError& l : layers)
    rows.push_back({printable(l.name), fmt::format("{:.2f}", l.bits_per_weight),
                    fmt::format("{:.5f}", l.error.relative_rms), fmt::format("{:.4f}", l.error.worst_block),
                    fmt::format("[{},{}]", l.error.worst_row, l.error.worst_col)});
  out().write(table_text(rows, "lrrrl"));
  out().line(fmt::format("all          relative RMS {:.5f}", pooled_relative_rms(layers)));
}

Json layer_errors_json(const std::vector<LayerError>& layers) {
  Json list = Json::array();
  for (const LayerError& l : layers) {
    list.push_back({{"name", l.name},
                    {"shape", {l.rows, l.cols}},
                    {"bits_per_weight", l.bits_per_weight},
                    {"relative_rms", l.error.relative_rms},
                    {"mean_absolute", l.error.mean_absolute},
                    {"worst_block", l.error.worst_block},
                    {"worst_at", {l.error.worst_row, l.error.worst_col}}});
    if (const auto ratio = output_error_ratio({l})) list.back()["output_error_ratio"] = *ratio;
  }
  return Json{{"relative_rms", pooled_relative_rms(layers)}, {"layers", list}};
}

}  // namespace lorikeet::cli
