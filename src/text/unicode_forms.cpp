#include "text/unicode_forms.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "text/unicode.h"

namespace lorikeet::text {
namespace {

int combining_class(int32_t c) { return utf8proc_get_property(c)->combining_class; }

// utf8proc_map sorts marks in quadratic time; here each run of marks is sorted by std::stable_sort.
std::string convert(std::string_view s, bool compatible, bool compose) {
  const int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
  std::vector<int32_t> points;
  points.reserve(s.size());
  for (size_t at = 0; at < s.size();) {
    const CodePoint c = code_point_at(s, at);
    at += c.size;
    int32_t buffer[64];
    int boundary = 0;
    const auto n = utf8proc_decompose_char(static_cast<int32_t>(c.value), buffer, 64,
                                           static_cast<utf8proc_option_t>(options), &boundary);
    if (n < 0 || n > 64) {
      points.push_back(static_cast<int32_t>(c.value));
    } else {
      points.insert(points.end(), buffer, buffer + n);
    }
  }
  for (size_t i = 0; i < points.size();) {
    size_t end = i;
    while (end < points.size() && combining_class(points[end]) != 0) ++end;
    if (end - i > 1) {
      std::stable_sort(points.begin() + static_cast<ptrdiff_t>(i),
                       points.begin() + static_cast<ptrdiff_t>(end),
                       [](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
    }
    i = end == i ? i + 1 : end;
  }
  if (compose) {
    const auto n =
        utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (n >= 0) points.resize(static_cast<size_t>(n));
  }
  std::string out;
  out.reserve(s.size());
  for (const int32_t c : points) append_utf8(out, static_cast<uint32_t>(c));
  return out;
}

}  // namespace

std::string to_nfc(std::string_view s) { return convert(s, false, true); }
std::string to_nfd(std::string_view s) { return convert(s, false, false); }
std::string to_nfkc(std::string_view s) { return convert(s, true, true); }
std::string to_nfkd(std::string_view s) { return convert(s, true, false); }

std::string lower_case(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t at = 0; at < s.size();) {
    const CodePoint c = code_point_at(s, at);
    at += c.size;
    if (c.value == 0x130) {
      out += "i\xcc\x87";  // the only letter whose lower case has two characters
    } else {
      append_utf8(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<int32_t>(newer_lower(c.value)))));
    }
  }
  return out;
}

}  // namespace lorikeet::text
