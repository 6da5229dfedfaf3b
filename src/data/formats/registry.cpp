#include <algorithm>

#include "core/error.h"
#include "data/formats/format.h"

namespace lorikeet {

namespace {

constexpr size_t kRowsLookedAt = 20;

/// Columns that only one format has decide for it.
const DatasetFormat* format_of_columns(const DataColumns& c) {
  if (c.prompt || c.completion) return &kPromptCompletionFormat;
  if (c.text || c.completion_separator) return &kTextFormat;
  return nullptr;
}

}  // namespace

std::span<const DatasetFormat* const> dataset_formats() {
  static constexpr const DatasetFormat* formats[] = {&kMessagesFormat,         &kTokenizedFormat,
                                                     &kSharegptFormat,         &kAlpacaFormat,
                                                     &kPromptCompletionFormat, &kTextFormat};
  return formats;
}

const DatasetFormat& dataset_format(DataFormat id) {
  for (const DatasetFormat* f : dataset_formats())
    if (f->id == id) return *f;
  throw Error(ErrorKind::internal, "a data format without an entry in the registry");
}

const DatasetFormat& detect_format(const RowSource& source, const DataColumns& columns) {
  const DatasetFormat* named = format_of_columns(columns);
  if (named) return *named;
  const size_t looked_at = std::min(source.size(), kRowsLookedAt);
  std::vector<const DatasetFormat*> left(dataset_formats().begin(), dataset_formats().end());
  Json last;
  size_t row = 0;
  for (; row < looked_at && !left.empty(); ++row) {
    last = source.row(row);
    std::erase_if(left, [&](const DatasetFormat* f) { return !f->matches(last, columns); });
  }
  if (!left.empty()) return *left.front();
  std::string found, known;
  for (const auto& [key, value] : last.items()) {
    if (found.size() > 200) break;
    found += fmt::format("{}\"{}\"", found.empty() ? "" : ", ", key.substr(0, 60));
  }
  for (const DatasetFormat* f : dataset_formats())
    known += fmt::format("{}{} {}", known.empty() ? "" : ", ", f->name, f->row_shape);
  const RowPlace place = source.place(row - 1);
  throw Error(ErrorKind::format,
              fmt::format("no data format fits row {}: its columns are {}", place.row,
                          found.empty() ? "none" : found),
              place.text(),
              fmt::format("use one of {}; or name the columns with --text-column, --prompt-column and "
                          "--completion-column, or --messages-column",
                          known));
}

}  // namespace lorikeet
