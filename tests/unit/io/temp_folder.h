#pragma once
// A fresh folder that a test may fill; removed at the end.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "core/error.h"

namespace lorikeet::testing {

class TempFolder : public ::testing::Test {
 protected:
  TempFolder() {
    std::string name = ::testing::TempDir() + "lorikeet-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~TempFolder() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }
  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// Names of the entries of the folder, hidden ones too.
  size_t entries() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  std::string folder_;
};

/// Kind and full text of the Error that `f` throws; "no error" if none.
template <class F>
std::string error_of(const F& f, ErrorKind* kind = nullptr) {
  try {
    f();
  } catch (const Error& e) {
    if (kind) *kind = e.kind();
    return e.what();
  }
  return "no error";
}

/// Expects an Error of `kind` whose text contains every one of `parts`.
template <class F>
void expect_error(const F& f, ErrorKind kind, std::initializer_list<std::string> parts) {
  ErrorKind found = ErrorKind::internal;
  const std::string text = error_of(f, &found);
  EXPECT_NE(text, "no error");
  EXPECT_EQ(static_cast<int>(found), static_cast<int>(kind)) << text;
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' in: " << text;
}

}  // namespace lorikeet::testing
