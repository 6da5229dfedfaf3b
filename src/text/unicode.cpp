#include "text/unicode.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace lorikeet::text {
namespace {

struct CodePointRange {
  uint32_t first, last;
};
enum class Category { Lu, Ll, Lm, Lo, Mn, Mc, Nd, No, Pd, Po, Sm, So, Cf };
struct CategoryRange {
  uint32_t first, last;
  Category category;
};
struct LowerRange {
  uint32_t first, last;
  int32_t distance;
};
#include "text/unicode_tables.inc"

// For each category a character of three and one of four UTF-8 bytes that every Unicode since 14 has.
struct Representative {
  Category category;
  uint32_t three_bytes, four_bytes;
};
constexpr Representative kRepresentatives[] = {
    {Category::Lu, 0x1e00, 0x10400}, {Category::Ll, 0x1e01, 0x10428}, {Category::Lm, 0x971, 0x10780},
    {Category::Lo, 0x904, 0x10000},  {Category::Mn, 0x900, 0x101fd},  {Category::Mc, 0x903, 0x11000},
    {Category::Nd, 0x966, 0x104a0},  {Category::No, 0x2070, 0x10107}, {Category::Pd, 0x2010, 0x10ead},
    {Category::Po, 0x964, 0x10100},  {Category::Sm, 0x2044, 0x1d6c1}, {Category::So, 0x2100, 0x10137},
    {Category::Cf, 0x200b, 0x110bd},
};

template <size_t N>
bool contains(const CodePointRange (&ranges)[N], uint32_t c) {
  const auto* it = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                    [](uint32_t value, const CodePointRange& r) { return value < r.first; });
  return it != std::begin(ranges) && c <= std::prev(it)->last;
}

}  // namespace

CodePoint code_point_before(std::string_view s, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(s[at]) & 0xc0) == 0x80) --at;
  return code_point_at(s, at);
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

std::string to_utf8(uint32_t code_point) {
  std::string out;
  append_utf8(out, code_point);
  return out;
}

bool is_valid_utf8(std::string_view s) { return simdjson::validate_utf8(s.data(), s.size()); }

uint32_t utf8_sequence(std::string_view s, size_t at, uint32_t* bad) {
  const auto byte = [&](size_t i) { return at + i < s.size() ? static_cast<unsigned char>(s[at + i]) : 0u; };
  const unsigned first = byte(0);
  *bad = 1;
  if (first < 0x80) return 1;
  uint32_t size = 0;
  unsigned low = 0x80, high = 0xbf;  // what the second byte may be
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  for (uint32_t i = 1; i < size; ++i) {
    const unsigned b = byte(i);
    if (b < low || b > high) {
      *bad = i;
      return 0;
    }
    low = 0x80, high = 0xbf;
  }
  return size;
}

std::string replace_invalid_utf8(std::string_view s) {
  if (is_valid_utf8(s)) return std::string(s);
  std::string out;
  out.reserve(s.size() + 16);
  for (size_t at = 0; at < s.size();) {
    uint32_t bad = 0;
    if (const uint32_t size = utf8_sequence(s, at, &bad)) {
      out.append(s, at, size);
      at += size;
    } else {
      out += "\xef\xbf\xbd";
      at += bad;
    }
  }
  return out;
}

bool is_numeric(uint32_t c) { return c < 0x80 ? c - '0' < 10u : contains(kNumeric, c); }
bool is_punctuation(uint32_t c) { return contains(kPunctuation, c); }
bool is_white_space(uint32_t c) { return c < 0x80 ? c == ' ' || (c >= 9 && c <= 13) : contains(kSpace, c); }
bool is_word(uint32_t c) { return contains(kWord, c); }

uint32_t newer_lower(uint32_t c) {
  for (const LowerRange& r : kNewerLower) {
    if (c >= r.first && c <= r.last) return static_cast<uint32_t>(static_cast<int32_t>(c) + r.distance);
  }
  return c;
}

uint32_t classed_alike(uint32_t c) {
  // Older engines count the Mongolian vowel separator as white space.
  if (c == 0x180e) return 0x200b;
  if (c < kNewerCategories[0].first) return c;
  const auto* it = std::upper_bound(std::begin(kNewerCategories), std::end(kNewerCategories), c,
                                    [](uint32_t value, const CategoryRange& r) { return value < r.first; });
  if (it == std::begin(kNewerCategories) || c > std::prev(it)->last) return c;
  for (const Representative& r : kRepresentatives) {
    if (r.category == std::prev(it)->category) return c < 0x10000 ? r.three_bytes : r.four_bytes;
  }
  return c;
}

}  // namespace lorikeet::text
