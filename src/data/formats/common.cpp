#include <algorithm>

#include "core/error.h"
#include "data/formats/format.h"

namespace lorikeet {

namespace {

std::string columns_text(const Json& row) {
  std::string text;
  size_t shown = 0;
  for (const auto& [key, value] : row.items()) {
    if (++shown > 12) return text + ", ...";
    text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", key.substr(0, 60));
  }
  return text.empty() ? "none" : text;
}

[[noreturn]] void wrong_type(const Json& value, const char* wanted, const std::string& field,
                             const RowPlace& place) {
  throw Error(ErrorKind::format,
              fmt::format("row {}: {} is {}, {} is needed", place.row, field, value.type_name(), wanted),
              place.text(field));
}

/// A list that may also be given as JSON text, the only way in which CSV can hold one.
Json list_of(const Json& value, const std::string& field, const RowPlace& place) {
  if (value.is_array()) return value;
  if (!value.is_string()) wrong_type(value, "a list", field, place);
  Json parsed;
  try {
    parsed = parse_json(value.get_ref<const std::string&>(), place.text(field));
  } catch (const Error& e) {
    throw Error(ErrorKind::format,
                fmt::format("row {}: {} is a string, but no JSON list: {}", place.row, field, e.message()),
                place.text(field));
  }
  if (!parsed.is_array()) wrong_type(parsed, "a list", field, place);
  return parsed;
}

/// The text of a content: a string, or parts that are all text. Null stays null (an assistant that calls a
/// tool).
Json content_of(const Json& content, const std::string& field, const RowPlace& place) {
  if (content.is_string() || content.is_null()) return content;
  if (!content.is_array()) wrong_type(content, "a string", field, place);
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const Json& part = content[i];
    const std::string at = fmt::format("{}[{}]", field, i);
    const Json* type = part.is_object() ? optional_member(part, "type") : nullptr;
    if (!type || *type != "text" || !part.contains("text"))
      throw Error(ErrorKind::unsupported, fmt::format("row {}: {} is a part that is not text", place.row, at),
                  place.text(at), "only text parts {\"type\": \"text\", \"text\": ...} are read");
    text += text_of(part["text"], at + ".text", place);
  }
  return text;
}

}  // namespace

const Json& required(const Json& row, const std::string& key, const RowPlace& place) {
  const auto found = row.find(key);
  if (found == row.end())
    throw Error(ErrorKind::format, fmt::format("row {} has no \"{}\"", place.row, key), place.text(),
                fmt::format("its columns are {}", columns_text(row)));
  return *found;
}

const Json* optional_member(const Json& row, const std::string& key) {
  const auto found = row.find(key);
  return found == row.end() || found->is_null() ? nullptr : &*found;
}

const std::string& text_of(const Json& value, const std::string& field, const RowPlace& place) {
  if (!value.is_string()) wrong_type(value, "a string", field, place);
  return value.get_ref<const std::string&>();
}

Json messages_of(const Json& value, const std::string& field, const RowPlace& place) {
  static constexpr std::string_view roles[] = {"system", "user", "assistant", "tool"};
  Json list = list_of(value, field, place);
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", field, i);
    Json& m = list[i];
    if (!m.is_object()) wrong_type(m, "an object with role and content", at, place);
    const auto role = m.find("role");
    if (role == m.end())
      throw Error(
          ErrorKind::format, fmt::format("row {}: {} has no \"role\"", place.row, at), place.text(at),
          m.contains("from")
              ? "these are \"from\"/\"value\" messages: --data-format sharegpt --messages-column " + field
              : "its keys are " + columns_text(m));
    const std::string& name = text_of(*role, at + ".role", place);
    if (std::find(std::begin(roles), std::end(roles), name) == std::end(roles))
      throw Error(ErrorKind::format,
                  fmt::format("row {}: the role \"{}\" is not known", place.row, name.substr(0, 60)),
                  place.text(at + ".role"), "use system, user, assistant or tool");
    const bool calls = name == "assistant" && optional_member(m, "tool_calls");
    const auto content = m.find("content");
    if ((content == m.end() || content->is_null()) && !calls)
      throw Error(ErrorKind::format, fmt::format("row {}: {} has no content", place.row, at),
                  place.text(at + ".content"));
    if (content != m.end()) *content = content_of(Json(*content), at + ".content", place);
  }
  if (list.empty())
    throw Error(ErrorKind::format, fmt::format("row {}: {} is empty", place.row, field), place.text(field));
  return list;
}

Json tools_of(const Json& row, const RowPlace& place) {
  const Json* tools = optional_member(row, "tools");
  if (!tools || (tools->is_string() && tools->get_ref<const std::string&>().empty())) return nullptr;
  Json list = list_of(*tools, "tools", place);
  return list.empty() ? Json(nullptr) : list;
}

Json message(const char* role, const std::string& content) {
  Json m = Json::object();
  m["role"] = role;
  m["content"] = content;
  return m;
}

}  // namespace lorikeet
