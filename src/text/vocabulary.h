#pragma once
// Token text by id and id by token text, for vocabularies of up to a few million tokens.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet::text {

/// 64-bit hash of bytes; the same on every machine.
uint64_t hash_bytes(std::string_view bytes);

class Vocabulary {
 public:
  static constexpr int32_t kMissing = -1;
  static constexpr int32_t kMaxTokens = 4'000'000;
  static constexpr size_t kMaxTokenBytes = 1u << 16;

  /// Adds a token. Of several ids with one text, find gives the last that was added. Throws Error(format),
  /// with `where`, for an id outside [0, kMaxTokens), one that another text has, or a token longer than
  /// kMaxTokenBytes.
  void add(std::string_view token, int64_t id, const std::string& where);
  void reserve(size_t tokens, size_t bytes);

  /// The id of a token, or kMissing.
  int32_t find(std::string_view token) const;
  /// The text of a token; nothing for an unused id.
  std::optional<std::string_view> text(int32_t id) const;
  /// One more than the largest id.
  int32_t size() const { return static_cast<int32_t>(entries_.size()); }
  /// How many ids are used.
  int32_t used() const { return used_; }

 private:
  struct Entry {
    uint32_t begin = 0;
    uint32_t size = UINT32_MAX;  // UINT32_MAX: unused id
  };
  void grow(size_t slots);
  size_t slot_of(std::string_view token) const;
  std::string_view entry_text(int32_t id) const;

  std::string blob_;
  std::vector<Entry> entries_;  // by id
  std::vector<int32_t> slots_;  // open addressing; kMissing where empty
  int32_t used_ = 0;
};

}  // namespace lorikeet::text
