#pragma once
// Between text and typed values: reading, checking against a key's row, and writing back.
#include <string>
#include <vector>

#include "config/key.h"

namespace lorikeet {

/// A value as a file or a flag holds it, before its key says what it must be.
struct RawValue {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  std::string scalar;
  bool quoted = false;             ///< a quoted scalar is never none
  std::vector<RawValue> items;     ///< of a list or a map
  std::vector<std::string> names;  ///< of a map's items
};

/// Text after a flag: JSON for lists and maps, commas for lists, else a scalar. Throws Error(usage).
RawValue raw_from_flag(const KeyInfo& info, const std::string& text, const std::string& where);

/// Throws Error(usage) if `raw` does not have the key's type or, for a choice, is none of its words.
KeyValue convert(const KeyInfo& info, const RawValue& raw, const std::string& where);

/// Checks range and availability. `fallback` is the key's default, which is always available.
/// Throws Error(usage) or Error(unsupported).
void check(const KeyInfo& info, const KeyValue& value, const KeyValue& fallback, const std::string& where);

/// The value as YAML that reads back as the same value; none is "null".
std::string value_yaml(const KeyInfo& info, const KeyValue& value);

/// The value for people: no quotes, sizes as GiB, none as "none".
std::string value_text(const KeyInfo& info, const KeyValue& value);

/// What the key takes, for help and errors, e.g. "32 to 4096, a power of two" or "lora, qlora, full".
std::string allowed_text(const KeyInfo& info);

/// A number as short as it reads back exactly: 16, 0.0002, 1e-08.
std::string number_text(double value);

std::string flag_of(std::string_view key);  ///< "lora_r" -> "--lora-r"

}  // namespace lorikeet
