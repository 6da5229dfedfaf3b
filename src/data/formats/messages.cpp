#include "data/formats/format.h"

namespace lorikeet {

namespace {

std::string column(const DataColumns& c) { return c.messages.value_or("messages"); }

bool matches(const Json& row, const DataColumns& c) {
  const Json* list = optional_member(row, column(c));
  if (!list) return false;
  if (list->is_string()) return list->get_ref<const std::string&>().find("\"role\"") != std::string::npos;
  return list->is_array() && (list->empty() || ((*list)[0].is_object() && !(*list)[0].contains("from")));
}

Example parse(const Json& row, const DataColumns& c, const RowPlace& place) {
  Example e;
  e.messages = messages_of(required(row, column(c), place), column(c), place);
  e.tools = tools_of(row, place);
  return e;
}

}  // namespace

const DatasetFormat kMessagesFormat = {DataFormat::messages, "messages",
                                       R"({"messages": [{"role": ..., "content": ...}]})", matches, parse};

}  // namespace lorikeet
