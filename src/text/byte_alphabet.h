#pragma once
// GPT-2's alphabet: a printable character for each byte, in which byte-level vocabularies are written.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lorikeet::text {

/// The character that stands for each byte; all are below U+0144.
const std::array<uint16_t, 256>& byte_alphabet();
/// The byte that a character stands for, or -1.
int byte_of_character(uint32_t code_point);
/// The bytes that a word of the alphabet stands for; nothing where a character is not in the alphabet.
std::optional<std::string> bytes_of_word(std::string_view word);
/// Each byte as its character.
void append_in_byte_alphabet(std::string& out, std::string_view bytes);

}  // namespace lorikeet::text
