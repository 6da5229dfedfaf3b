// Sizes of memory as people write them.
#include <charconv>
#include <cmath>

#include "core/error.h"
#include "lorikeet/config.h"

namespace lorikeet {

uint64_t parse_size(const std::string& text, const std::string& where) {
  static constexpr struct {
    const char* name;
    double bytes;
  } units[] = {{"", 1},         {"b", 1},    {"kib", 0x1p10}, {"mib", 0x1p20}, {"gib", 0x1p30},
               {"tib", 0x1p40}, {"kb", 1e3}, {"mb", 1e6},     {"gb", 1e9},     {"tb", 1e12}};
  const auto refuse = [&]() -> uint64_t {
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is not a size", text), where,
                "write e.g. 6GiB, 512MiB, 1.5GB or plain bytes");
  };
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return refuse();
  std::string unit;
  for (const char* c = rest; c != text.data() + text.size(); ++c)
    if (*c != ' ') unit += static_cast<char>(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
  for (const auto& known : units) {
    if (unit != known.name) continue;
    const double bytes = std::floor(number * known.bytes);
    if (bytes >= 0x1p63) return refuse();
    return static_cast<uint64_t>(bytes);
  }
  return refuse();
}

}  // namespace lorikeet
