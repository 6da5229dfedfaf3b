#include "text/vocabulary.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace lorikeet::text {

uint64_t hash_bytes(std::string_view bytes) {
  uint64_t h = 0x9e3779b97f4a7c15ull ^ bytes.size();
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    h = (h ^ word) * 0xff51afd7ed558ccdull;
    h ^= h >> 32;
  }
  uint64_t tail = 0;
  if (i < bytes.size()) std::memcpy(&tail, bytes.data() + i, bytes.size() - i);
  h = (h ^ tail) * 0xc4ceb9fe1a85ec53ull;
  return h ^ h >> 29;
}

std::string_view Vocabulary::entry_text(int32_t id) const {
  return std::string_view(blob_).substr(entries_[id].begin, entries_[id].size);
}

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  entries_.reserve(tokens);
  blob_.reserve(bytes);
  size_t slots = 64;
  while (slots < 2 * tokens) slots *= 2;
  if (slots > slots_.size()) grow(slots);
}

void Vocabulary::grow(size_t slots) {
  slots_.assign(slots, kMissing);
  for (int32_t id = 0; id < size(); ++id) {
    if (entries_[id].size == UINT32_MAX) continue;
    slots_[slot_of(entry_text(id))] = id;
  }
}

void Vocabulary::add(std::string_view token, int64_t id, const std::string& where) {
  if (id < 0 || id >= kMaxTokens) {
    throw Error(ErrorKind::format, fmt::format("token id {} is outside [0, {})", id, kMaxTokens), where);
  }
  if (token.size() > kMaxTokenBytes) {
    throw Error(ErrorKind::format,
                fmt::format("token {} has {} bytes, more than {}", id, token.size(), kMaxTokenBytes), where);
  }
  const int32_t older = find(token);
  if (older == id) return;
  if (id < size() && entries_[id].size != UINT32_MAX) {
    throw Error(ErrorKind::format,
                fmt::format("token id {} belongs to '{}' and to '{}'", id,
                            entry_text(static_cast<int32_t>(id)), token),
                where);
  }
  if (blob_.size() + token.size() >= UINT32_MAX) {
    throw Error(ErrorKind::format, "the vocabulary has more than 4 GiB of text", where);
  }
  if (id >= size()) entries_.resize(static_cast<size_t>(id) + 1);
  entries_[id] = {static_cast<uint32_t>(blob_.size()), static_cast<uint32_t>(token.size())};
  blob_ += token;
  ++used_;
  if (older != kMissing) {
    slots_[slot_of(token)] = static_cast<int32_t>(id);
    return;
  }
  if (slots_.size() < 2 * static_cast<size_t>(used_)) {
    grow(std::max<size_t>(64, 2 * slots_.size()));
    return;
  }
  slots_[slot_of(token)] = static_cast<int32_t>(id);
}

size_t Vocabulary::slot_of(std::string_view token) const {
  size_t at = hash_bytes(token) & (slots_.size() - 1);
  while (slots_[at] != kMissing && entry_text(slots_[at]) != token) at = (at + 1) & (slots_.size() - 1);
  return at;
}

int32_t Vocabulary::find(std::string_view token) const {
  return slots_.empty() ? kMissing : slots_[slot_of(token)];
}

std::optional<std::string_view> Vocabulary::text(int32_t id) const {
  if (id < 0 || id >= size() || entries_[id].size == UINT32_MAX) return std::nullopt;
  return entry_text(id);
}

}  // namespace lorikeet::text
