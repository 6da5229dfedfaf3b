#pragma once
// Dataset formats: one file each, and a row in registry.cpp.
#include <optional>
#include <span>
#include <string>

#include "data/example.h"
#include "data/row_source.h"
#include "lorikeet/config.h"

namespace lorikeet {

/// Names of columns where they are not the format's own, and how a text column is split.
struct DataColumns {
  std::optional<std::string> prompt, completion, text, messages;
  std::optional<std::string> completion_separator;
};

struct DatasetFormat {
  DataFormat id;
  const char* name;
  const char* row_shape;  ///< for messages, e.g. {"text": ...}
  /// Looks at the keys (and types) of a row.
  bool (*matches)(const Json& row, const DataColumns& columns);
  /// Throws Error(format) that names file, line and key.
  Example (*parse)(const Json& row, const DataColumns& columns, const RowPlace& place);
};

extern const DatasetFormat kMessagesFormat, kPromptCompletionFormat, kTextFormat, kAlpacaFormat,
    kSharegptFormat, kTokenizedFormat;

/// In order of detection.
std::span<const DatasetFormat* const> dataset_formats();
const DatasetFormat& dataset_format(DataFormat id);

/// The format of the data, from its first rows: the one that all of them match.
/// Throws Error(format) that shows the columns found and the formats there are.
const DatasetFormat& detect_format(const RowSource& source, const DataColumns& columns);

// What formats share. `field` names the value in errors.

/// The member `key`; throws Error(format) listing the columns there are.
const Json& required(const Json& row, const std::string& key, const RowPlace& place);
const Json* optional_member(const Json& row, const std::string& key);  ///< null for absent and JSON null
const std::string& text_of(const Json& value, const std::string& field, const RowPlace& place);
/// Checks roles and contents of a list of messages; a list of text parts becomes one string. JSON in a string
/// (from CSV) is read.
Json messages_of(const Json& value, const std::string& field, const RowPlace& place);
/// The member "tools", a list or JSON in a string; null if absent or empty.
Json tools_of(const Json& row, const RowPlace& place);
/// {"role": role, "content": content}
Json message(const char* role, const std::string& content);

}  // namespace lorikeet
