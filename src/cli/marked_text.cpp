#include "cli/marked_text.h"

#include "cli/terminal.h"
#include "cli/text_format.h"

namespace lorikeet::cli {
namespace {

constexpr const char* kTargetColour = "\x1b[32m";
constexpr const char* kPlain = "\x1b[0m";

std::string with_line_signs(const std::string& text) {
  std::string out, rest;
  for (const char c : text) {
    if (c == '\n') {
      out += printable(rest) + "⏎";
      rest.clear();
    } else {
      rest += c;
    }
  }
  return out + printable(rest);
}

/// The last `columns` characters.
std::string tail(const std::string& text, int columns) {
  int left = columns;
  for (size_t i = text.size(); i-- > 0;)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && --left == 0) return text.substr(i);
  return text;
}

std::string shortened(const std::string& text, int most) {
  if (most == 0 || columns_of(text) <= most) return text;
  return shown_columns_cut(text, most / 2) + tail(text, most - most / 2);
}

}  // namespace

std::string marked_text(const std::vector<PreviewPiece>& pieces, bool colour, int most) {
  std::string out;
  for (const PreviewPiece& piece : pieces) {
    const std::string text = shortened(with_line_signs(piece.text), most);
    if (!piece.target) {
      out += text;
    } else if (colour) {
      out += std::string(kTargetColour) + "▌" + text + "▐" + kPlain;
    } else {
      out += "▌" + text + "▐";
    }
  }
  return out;
}

}  // namespace lorikeet::cli
