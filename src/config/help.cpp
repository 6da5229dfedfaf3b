#include "config/help.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/key_value.h"

namespace lorikeet {
namespace {

constexpr int kIndent = 6;

/// Words that may be given, the ones not built marked.
std::string words(const KeyInfo& info, std::string_view quote) {
  std::string out, later;
  for (const Choice& choice : info.choices) {
    if (choice.alias) continue;
    std::string& list = choice.built ? out : later;
    list += fmt::format("{}{}{}{}", list.empty() ? "" : ", ", quote, choice.name, quote);
  }
  if (!later.empty()) out += fmt::format("{}not yet: {}", out.empty() ? "" : "; ", later);
  return out;
}

std::string placeholder(const KeyInfo& info) {
  switch (info.type) {
    case KeyType::boolean:
      return "";
    case KeyType::integer:
      return "N";
    case KeyType::number:
      return "X";
    case KeyType::size:
      return "SIZE";
    case KeyType::choice:
      return info.bare_value.empty() ? "WORD" : "[WORD]";
    case KeyType::text_list:
      return info.path == PathRole::path ? "PATH,..." : "TEXT,...";
    case KeyType::integer_list:
      return "N,...";
    case KeyType::modules:
      return "NAMES|REGEX";
    case KeyType::integer_map:
    case KeyType::number_map:
      return "JSON";
    case KeyType::text:
      return info.path == PathRole::path           ? "PATH"
             : info.path == PathRole::name_or_path ? "NAME|PATH"
                                                   : "TEXT";
  }
  return "";
}

std::string wrap(const std::string& text, int width, int indent) {
  std::string out(static_cast<size_t>(indent), ' ');
  int column = indent;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const int length = static_cast<int>(end - begin);
    if (column > indent && column + 1 + length > width) {
      out += '\n' + std::string(static_cast<size_t>(indent), ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out.append(text, begin, end - begin);
    column += length;
    begin = end + 1;
  }
  return out;
}

bool has_range(const KeyInfo& info) { return info.type == KeyType::integer || info.type == KeyType::number; }

std::string cell(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

HelpRow help_row(const KeyInfo& info, const KeyValue& fallback) {
  if (info.required) return {info, "required"};
  return {info, info.default_text.empty() ? value_text(info, fallback) : std::string(info.default_text)};
}

std::string flags_help(const std::vector<HelpRow>& rows, int width) {
  std::string out, section;
  for (const HelpRow& row : rows) {
    const KeyInfo& info = row.info;
    if (info.section != section) {
      section = info.section;
      out += fmt::format("{}{}:\n", out.empty() ? "" : "\n", section);
    }
    const std::string value = placeholder(info);
    out += fmt::format("  {}{}{}  ({}){}\n", flag_of(info.name), value.empty() ? "" : " ", value,
                       info.required ? "required" : "default: " + row.default_text,
                       info.built ? "" : "  [not yet]");
    out += wrap(std::string(info.help), width, kIndent) + "\n";
    if (!info.choices.empty()) out += wrap("one of: " + words(info, ""), width, kIndent) + "\n";
  }
  return out;
}

std::string keys_markdown(const std::vector<HelpRow>& rows) {
  std::string out, section;
  for (const HelpRow& row : rows) {
    const KeyInfo& info = row.info;
    if (info.section != section) {
      section = info.section;
      out += fmt::format("\n## {}\n\n| key | default | meaning |\n| --- | --- | --- |\n", section);
    }
    std::string text(info.help);
    if (!info.choices.empty()) text += "; one of " + words(info, "`");
    if (has_range(info)) text += "; " + allowed_text(info);
    if (!info.built) text += " (**not yet**)";
    out += fmt::format("| `{}` | {} | {} |\n", info.name, cell(row.default_text), cell(text));
  }
  return out;
}

}  // namespace lorikeet
