#include "text/byte_alphabet.h"

#include "text/unicode.h"

namespace lorikeet::text {
namespace {

std::array<uint16_t, 256> make_alphabet() {
  std::array<uint16_t, 256> out{};
  uint16_t next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    out[b] = printable ? static_cast<uint16_t>(b) : next++;
  }
  return out;
}

std::array<int16_t, 0x144> make_inverse() {
  std::array<int16_t, 0x144> out;
  out.fill(-1);
  for (int b = 0; b < 256; ++b) out[byte_alphabet()[b]] = static_cast<int16_t>(b);
  return out;
}

}  // namespace

const std::array<uint16_t, 256>& byte_alphabet() {
  static const std::array<uint16_t, 256> table = make_alphabet();
  return table;
}

int byte_of_character(uint32_t c) {
  static const std::array<int16_t, 0x144> table = make_inverse();
  return c < table.size() ? table[c] : -1;
}

std::optional<std::string> bytes_of_word(std::string_view word) {
  std::string out;
  out.reserve(word.size());
  for (size_t at = 0; at < word.size();) {
    const CodePoint c = code_point_at(word, at);
    const int byte = byte_of_character(c.value);
    if (byte < 0) return std::nullopt;
    out += static_cast<char>(byte);
    at += c.size;
  }
  return out;
}

void append_in_byte_alphabet(std::string& out, std::string_view bytes) {
  for (const char b : bytes) append_utf8(out, byte_alphabet()[static_cast<unsigned char>(b)]);
}

}  // namespace lorikeet::text
