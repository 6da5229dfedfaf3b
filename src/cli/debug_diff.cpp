// lorikeet debug diff: where two dumps part.
#include <array>
#include <cmath>

#include "cli/command.h"
#include "cli/debug_commands.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "export/debug_dump.h"

namespace lorikeet::cli {
namespace {

struct DiffOptions {
  double tolerance = 1e-10;
};

std::span<const Key<DiffOptions>> table() {
  static const std::array rows{
      key<&DiffOptions::tolerance>("tolerance", "diff",
                                   "largest normalised mean squared error that counts as equal")
          .at_least(0)
          .shown_default("1e-10")};
  return rows;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t n : shape) text += fmt::format("{}{}", text.empty() ? "" : ",", n);
  return shape.empty() ? "missing" : "[" + text + "]";
}

/// JSON has no infinity and no NaN.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

}  // namespace

int run_debug_diff(const std::vector<std::string>& arguments) {
  CommandLine line("debug diff", "debug diff A.safetensors B.safetensors [--tolerance X] [--json]",
                   "Compares two dumps tensor by tensor, in the order in which a model computes them, and "
                   "names the first that "
                   "differs.");
  DiffOptions own;
  line.options.add(own, table());
  if (!line.read(arguments)) return 0;
  line.expect_positionals(2, 2, "a file to compare");
  const auto& files = line.options.positionals();
  const std::vector<DumpDifference> differences = diff_dumps(files[0], files[1]);
  const DumpDifference* first = nullptr;
  Json tensors = Json::array();
  std::vector<std::vector<std::string>> rows{{"tensor", "shape", "max |a-b|", "NMSE", ""}};
  for (const DumpDifference& d : differences) {
    const bool differs = d.beyond(own.tolerance);
    if (differs && !first) first = &d;
    tensors.push_back({{"name", d.name},
                       {"shape", d.shape_a},
                       {"other_shape", d.shape_b},
                       {"comparable", d.comparable},
                       {"max_abs_difference", d.comparable ? number(d.largest) : Json(nullptr)},
                       {"nmse", d.comparable ? number(d.nmse) : Json(nullptr)},
                       {"differs", differs}});
    const std::string shape = d.shape_a == d.shape_b ? shape_text(d.shape_a)
                                                     : shape_text(d.shape_a) + " / " + shape_text(d.shape_b);
    rows.push_back({d.name, shape, d.comparable ? fmt::format("{:.3e}", d.largest) : "",
                    d.comparable ? fmt::format("{:.3e}", d.nmse) : "", differs ? "differs" : ""});
  }
  if (line.common.json) {
    out().json(Json{{"first_difference", first ? Json(first->name) : Json(nullptr)},
                    {"tolerance", own.tolerance},
                    {"tensors", tensors}});
    return 0;
  }
  out().write(table_text(rows, "llrrl"));
  out().line(first ? fmt::format("\nfirst difference: {}", first->name)
                   : fmt::format("\nno difference beyond NMSE {:g} in {} tensors", own.tolerance,
                                 differences.size()));
  return 0;
}

}  // namespace lorikeet::cli
