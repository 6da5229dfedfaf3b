#include "core/error.h"
#include "data/formats/format.h"

namespace lorikeet {

namespace {

std::string prompt_column(const DataColumns& c) { return c.prompt.value_or("prompt"); }
std::string completion_column(const DataColumns& c) { return c.completion.value_or("completion"); }

bool matches(const Json& row, const DataColumns& c) {
  return optional_member(row, prompt_column(c)) && optional_member(row, completion_column(c));
}

Example parse(const Json& row, const DataColumns& c, const RowPlace& place) {
  const std::string prompt_name = prompt_column(c), completion_name = completion_column(c);
  const Json& prompt = required(row, prompt_name, place);
  const Json& completion = required(row, completion_name, place);
  Example e;
  if (prompt.is_array() != completion.is_array())
    throw Error(ErrorKind::format,
                fmt::format("row {}: one of {} and {} is a list of messages, the other is not", place.row,
                            prompt_name, completion_name),
                place.text(prompt.is_array() ? completion_name : prompt_name),
                "make both strings or both lists of messages");
  if (!prompt.is_array()) {
    e.kind = Example::Kind::completion;
    e.prompt = text_of(prompt, prompt_name, place);
    e.completion = text_of(completion, completion_name, place);
    return e;
  }
  e.messages = messages_of(prompt, prompt_name, place);
  e.prompt_messages = e.messages.size();
  for (Json& m : messages_of(completion, completion_name, place)) e.messages.push_back(std::move(m));
  e.tools = tools_of(row, place);
  return e;
}

}  // namespace

const DatasetFormat kPromptCompletionFormat = {DataFormat::prompt_completion, "prompt_completion",
                                               R"({"prompt": ..., "completion": ...})", matches, parse};

}  // namespace lorikeet
