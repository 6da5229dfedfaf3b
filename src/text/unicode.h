#pragma once
// UTF-8 and the character classes that tokenizers ask for. The classes are those of the official
// `tokenizers` library (Unicode 16 and newer in places), not those of the machine's libraries.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet::text {

/// The code point that starts at `at`, and its length in bytes. The text must be valid UTF-8 there.
struct CodePoint {
  uint32_t value;
  uint32_t size;
};
inline CodePoint code_point_at(std::string_view s, size_t at) {
  const auto b = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(s[at + i])); };
  const uint32_t first = b(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xe0) return {(first & 0x1f) << 6 | (b(1) & 0x3f), 2};
  if (first < 0xf0) return {(first & 0x0f) << 12 | (b(1) & 0x3f) << 6 | (b(2) & 0x3f), 3};
  return {(first & 0x07) << 18 | (b(1) & 0x3f) << 12 | (b(2) & 0x3f) << 6 | (b(3) & 0x3f), 4};
}
/// The code point that ends at `end` (exclusive, > 0).
CodePoint code_point_before(std::string_view s, size_t end);

void append_utf8(std::string& out, uint32_t code_point);
std::string to_utf8(uint32_t code_point);

bool is_valid_utf8(std::string_view s);
/// Bytes of the well-formed sequence at `at`; 0 where there is none, and then `*bad` is the length of what
/// one U+FFFD stands for (the maximal subpart, as Python's and Rust's lossy decoders take it).
uint32_t utf8_sequence(std::string_view s, size_t at, uint32_t* bad);
/// `s` with each ill-formed part as U+FFFD.
std::string replace_invalid_utf8(std::string_view s);

bool is_numeric(uint32_t code_point);      ///< general category N
bool is_punctuation(uint32_t code_point);  ///< ASCII punctuation or general category P
bool is_white_space(uint32_t code_point);
bool is_word(uint32_t code_point);  ///< \w of the Rust regex crate

/// The lower case of letters that Unicode 14 does not know; others as they are.
uint32_t newer_lower(uint32_t code_point);

/// A character of the same class and UTF-8 length that Unicode 14 knows; the code point itself where Unicode
/// 14 agrees with the official library. Lets an older regex engine split newer text as the official one does.
uint32_t classed_alike(uint32_t code_point);

}  // namespace lorikeet::text
