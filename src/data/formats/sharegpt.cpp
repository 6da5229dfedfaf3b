#include <string_view>

#include "core/error.h"
#include "data/formats/format.h"

namespace lorikeet {

namespace {

std::string column(const DataColumns& c) { return c.messages.value_or("conversations"); }

bool matches(const Json& row, const DataColumns& c) {
  const Json* list = optional_member(row, column(c));
  return list && list->is_array() && !list->empty() && (*list)[0].is_object() && (*list)[0].contains("from");
}

const char* role_of(std::string_view from) {
  static constexpr struct {
    std::string_view from;
    const char* role;
  } names[] = {{"human", "user"},
               {"user", "user"},
               {"gpt", "assistant"},
               {"assistant", "assistant"},
               {"chatgpt", "assistant"},
               {"model", "assistant"},
               {"function_call", "assistant"},
               {"system", "system"},
               {"observation", "tool"},
               {"function_response", "tool"},
               {"tool", "tool"}};
  for (const auto& known : names)
    if (from == known.from) return known.role;
  return nullptr;
}

Example parse(const Json& row, const DataColumns& c, const RowPlace& place) {
  const std::string field = column(c);
  const Json& list = required(row, field, place);
  if (!list.is_array() || list.empty())
    throw Error(ErrorKind::format, fmt::format("row {}: {} is not a list of turns", place.row, field),
                place.text(field));
  Example e;
  if (const Json* system = optional_member(row, "system");
      system && !text_of(*system, "system", place).empty())
    e.messages.push_back(message("system", text_of(*system, "system", place)));
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", field, i);
    if (!list[i].is_object() || !list[i].contains("from") || !list[i].contains("value"))
      throw Error(ErrorKind::format, fmt::format("row {}: {} has no \"from\" and \"value\"", place.row, at),
                  place.text(at));
    const std::string& from = text_of(list[i]["from"], at + ".from", place);
    const char* role = role_of(from);
    if (!role)
      throw Error(ErrorKind::format,
                  fmt::format("row {}: the speaker \"{}\" is not known", place.row, from.substr(0, 60)),
                  place.text(at + ".from"), "use human, gpt, system, function_call or observation");
    e.messages.push_back(message(role, text_of(list[i]["value"], at + ".value", place)));
  }
  e.tools = tools_of(row, place);
  return e;
}

}  // namespace

const DatasetFormat kSharegptFormat = {DataFormat::sharegpt, "sharegpt",
                                       R"({"conversations": [{"from": ..., "value": ...}]})", matches, parse};

}  // namespace lorikeet
