#pragma once
// Reads the .bin fixtures of tools/make_quant_fixtures.py and tools/make_optim_fixtures.py.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace lorikeet::testing {

class Records {
 public:
  explicit Records(const std::string& name, const std::string& folder = "quant") {
    std::ifstream in(std::string(LORIKEET_FIXTURES) + "/" + folder + "/" + name, std::ios::binary);
    const std::string s{std::istreambuf_iterator<char>(in), {}};
    for (size_t at = 0; at < s.size();) {
      uint32_t name_bytes;
      uint64_t bytes;
      std::memcpy(&name_bytes, s.data() + at, 4);
      const std::string key = s.substr(at + 4, name_bytes);
      std::memcpy(&bytes, s.data() + at + 4 + name_bytes, 8);
      at += 12 + name_bytes;
      records_[key] = s.substr(at, bytes);
      at += bytes;
    }
    EXPECT_FALSE(records_.empty()) << name;
  }
  const std::map<std::string, std::string>& all() const { return records_; }
  template <class T>
  std::vector<T> get(const std::string& key) const {
    const std::string& s = records_.at(key);
    std::vector<T> v(s.size() / sizeof(T));
    std::memcpy(v.data(), s.data(), v.size() * sizeof(T));
    return v;
  }

 private:
  std::map<std::string, std::string> records_;
};

/// Bit patterns, so that -0, 0 and denormals are told apart.
inline std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> b(values.size());
  std::memcpy(b.data(), values.data(), values.size() * 4);
  return b;
}

}  // namespace lorikeet::testing
