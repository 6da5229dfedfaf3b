#include "core/error.h"
#include "data/formats/format.h"

namespace lorikeet {

namespace {

std::string column(const DataColumns& c) { return c.text.value_or("text"); }

bool matches(const Json& row, const DataColumns& c) {
  const Json* text = optional_member(row, column(c));
  return text && text->is_string();
}

Example parse(const Json& row, const DataColumns& c, const RowPlace& place) {
  const std::string field = column(c);
  const std::string& text = text_of(required(row, field, place), field, place);
  Example e;
  e.kind = Example::Kind::completion;
  if (!c.completion_separator) {
    e.completion = text;
    return e;
  }
  const size_t at = text.rfind(*c.completion_separator);
  if (at == std::string::npos)
    throw Error(ErrorKind::format,
                fmt::format("row {}: the text does not contain completion_separator {}", place.row,
                            to_text(Json(*c.completion_separator))),
                place.text(field),
                "give the separator as it stands in the text, e.g. $'\\nA: ' in bash for a line break");
  const size_t split = at + c.completion_separator->size();
  e.prompt = text.substr(0, split);
  e.completion = text.substr(split);
  return e;
}

}  // namespace

const DatasetFormat kTextFormat = {DataFormat::text, "text", R"({"text": ...})", matches, parse};

}  // namespace lorikeet
