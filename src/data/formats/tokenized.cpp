#include "core/error.h"
#include "data/formats/format.h"

namespace lorikeet {

namespace {

bool matches(const Json& row, const DataColumns&) {
  const Json* ids = optional_member(row, "input_ids");
  return ids && ids->is_array();
}

std::vector<int32_t> ids_of(const Json& list, const std::string& field, int64_t least,
                            const RowPlace& place) {
  if (!list.is_array())
    throw Error(ErrorKind::format,
                fmt::format("row {}: {} is {}, a list is needed", place.row, field, list.type_name()),
                place.text(field));
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", field, i);
    const int64_t id = json_int(list[i], place.text(at));
    if (id < 0 && id != least)
      throw Error(ErrorKind::format, fmt::format("row {}: {} is {}, which is no token", place.row, at, id),
                  place.text(at), least < 0 ? "use token ids, or -100 where nothing is learned" : "");
    if (id > INT32_MAX)
      throw Error(ErrorKind::format, fmt::format("row {}: {} is {}, which is no token", place.row, at, id),
                  place.text(at));
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

Example parse(const Json& row, const DataColumns&, const RowPlace& place) {
  Example e;
  e.kind = Example::Kind::tokens;
  e.input_ids = ids_of(required(row, "input_ids", place), "input_ids", 0, place);
  const Json* labels = optional_member(row, "labels");
  e.labels = labels ? ids_of(*labels, "labels", kNoTarget, place) : e.input_ids;
  if (e.labels.size() != e.input_ids.size())
    throw Error(
        ErrorKind::format,
        fmt::format("row {} has {} labels for {} input_ids", place.row, e.labels.size(), e.input_ids.size()),
        place.text("labels"),
        "give one label per token, -100 where nothing is learned; they are shifted inside");
  return e;
}

}  // namespace

const DatasetFormat kTokenizedFormat = {DataFormat::tokenized, "tokenized",
                                        R"({"input_ids": [...], "labels": [...]})", matches, parse};

}  // namespace lorikeet
