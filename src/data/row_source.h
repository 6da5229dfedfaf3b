#pragma once
// Rows of data files as JSON objects: JSON lines, a JSON array, or CSV with a header.
//
// Goals: rows are found without parsing them, so that parsing runs on all threads and only one row per thread
// is in memory; every error names file and line. Non-goals: remote files, compression, Parquet.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "io/mapped_file.h"

namespace lorikeet {

/// Where a row stands.
struct RowPlace {
  std::string_view file;
  int64_t line = 0;  ///< 1-based line on which the row begins
  int64_t row = 0;   ///< 1-based number among all rows of all files
  /// "train.jsonl, line 812"
  std::string text() const;
  /// "train.jsonl, line 812, messages[3].content"
  std::string text(const std::string& field) const;
};

/// The rows of several files, in order. Reading rows is safe from several threads at once.
class RowSource {
 public:
  /// Opens the files and finds their rows. A file is CSV if its name ends in .csv, else a JSON array if it
  /// begins with '[', else JSON lines. A byte order mark and blank lines are skipped.
  ///
  /// Throws as MappedFile::open, and Error(format) for a file without rows, a CSV header without columns or
  /// with two of one name, an array that does not end, a row of more than 64 MiB.
  explicit RowSource(const std::vector<std::string>& files);

  size_t size() const { return rows_.size(); }
  RowPlace place(size_t row) const;
  /// Throws Error(format) if the row is no JSON object, no UTF-8, or its number of CSV fields is not the
  /// header's.
  Json row(size_t row) const;

 private:
  enum class Kind : uint8_t { json, csv };
  struct File {
    MappedFile mapped;
    Kind kind = Kind::json;
    std::vector<std::string> columns;  ///< CSV
  };
  struct Row {
    uint32_t file = 0;
    size_t begin = 0, end = 0;
    int64_t line = 0;
  };
  std::string_view text_of(const Row& row) const;
  void find_lines(uint32_t file, size_t begin);
  void find_elements(uint32_t file, size_t begin);
  void find_records(uint32_t file, size_t begin);
  void add(uint32_t file, size_t begin, size_t end, int64_t line);

  std::vector<std::string> names_;
  std::vector<File> files_;
  std::vector<Row> rows_;
};

}  // namespace lorikeet
