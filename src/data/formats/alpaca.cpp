#include "core/error.h"
#include "data/formats/format.h"

namespace lorikeet {

namespace {

bool matches(const Json& row, const DataColumns&) {
  return optional_member(row, "instruction") && row.contains("output");
}

/// Earlier turns, [[question, answer], ...], as LLaMA-Factory reads them.
void add_history(const Json& history, const RowPlace& place, Json& messages) {
  if (!history.is_array())
    throw Error(ErrorKind::format,
                fmt::format("row {}: history is {}, a list is needed", place.row, history.type_name()),
                place.text("history"));
  for (size_t i = 0; i < history.size(); ++i) {
    const std::string at = fmt::format("history[{}]", i);
    if (!history[i].is_array() || history[i].size() != 2)
      throw Error(ErrorKind::format,
                  fmt::format("row {}: {} is not a pair of question and answer", place.row, at),
                  place.text(at));
    messages.push_back(message("user", text_of(history[i][0], at + "[0]", place)));
    messages.push_back(message("assistant", text_of(history[i][1], at + "[1]", place)));
  }
}

Example parse(const Json& row, const DataColumns&, const RowPlace& place) {
  Example e;
  if (const Json* system = optional_member(row, "system");
      system && !text_of(*system, "system", place).empty())
    e.messages.push_back(message("system", text_of(*system, "system", place)));
  if (const Json* history = optional_member(row, "history")) add_history(*history, place, e.messages);
  std::string question = text_of(required(row, "instruction", place), "instruction", place);
  if (const Json* input = optional_member(row, "input"); input && !text_of(*input, "input", place).empty())
    question += "\n" + text_of(*input, "input", place);
  e.messages.push_back(message("user", question));
  e.messages.push_back(message("assistant", text_of(required(row, "output", place), "output", place)));
  return e;
}

}  // namespace

const DatasetFormat kAlpacaFormat = {DataFormat::alpaca, "alpaca",
                                     R"({"instruction": ..., "input": ..., "output": ...})", matches, parse};

}  // namespace lorikeet
