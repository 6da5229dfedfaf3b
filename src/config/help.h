#pragma once
// Help and documentation, made from the tables of keys.
#include <span>
#include <string>
#include <vector>

#include "config/key.h"

namespace lorikeet {

/// A key with the text of its default, ready for a list of flags.
struct HelpRow {
  KeyInfo info;
  std::string default_text;
};

template <class C>
void append_help_rows(std::vector<HelpRow>& rows, std::span<const Key<C>> table);

/// One help row for a key whose default is `fallback`.
HelpRow help_row(const KeyInfo& info, const KeyValue& fallback);

template <class C>
void append_help_rows(std::vector<HelpRow>& rows, std::span<const Key<C>> table) {
  const C defaults{};
  for (const Key<C>& row : table) rows.push_back(help_row(row.info, row.get(defaults)));
}

/// Flags by section, wrapped to `width` columns, with defaults, allowed words and 'not yet' marks.
std::string flags_help(const std::vector<HelpRow>& rows, int width);

/// The same table as Markdown: docs/configuration.md.
std::string keys_markdown(const std::vector<HelpRow>& rows);

}  // namespace lorikeet
