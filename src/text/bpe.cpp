#include "text/bpe.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <unordered_map>

#include "core/error.h"
#include "text/byte_alphabet.h"
#include "text/unicode.h"

namespace lorikeet::text {
namespace {

constexpr size_t kRememberedBytes = 22;
constexpr size_t kRememberedTokens = 8;
constexpr size_t kRememberedPieces = 1u << 14;
// Up to here searching all pairs for the best is quicker than a heap.
constexpr size_t kFewSymbols = 24;
constexpr size_t kMaxPieceBytes = 1u << 30;

struct Remembered {
  char piece[kRememberedBytes];
  uint8_t size = 0;
  uint8_t tokens = 0;
  int32_t ids[kRememberedTokens];
  uint8_t sizes[kRememberedTokens];
};

std::atomic<uint64_t> g_instances{0};

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}
size_t pair_hash(uint64_t key) {
  key *= 0x9e3779b97f4a7c15ull;
  return key ^ key >> 32;
}

}  // namespace

struct Bpe::Scratch {
  uint64_t instance = 0;  // whose pieces are remembered
  std::vector<Remembered> remembered;
  std::string word;
};

Bpe::Scratch& Bpe::scratch() {
  thread_local Scratch value;
  return value;
}

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), instance_(++g_instances) {
  size_t slots = 64;
  while (slots < 2 * merges.size()) slots *= 2;
  slots_.resize(slots);
  for (const Merge& m : merges) {
    const uint64_t key = pair_key(m.left, m.right);
    size_t at = pair_hash(key) & (slots - 1);
    while (slots_[at].pair != UINT64_MAX && slots_[at].pair != key) at = (at + 1) & (slots - 1);
    slots_[at] = {key, m.rank, m.result};
  }
  byte_ids_.resize(256);
  fallback_ids_.resize(256);
  for (int b = 0; b < 256; ++b) {
    byte_ids_[b] = vocabulary_.find(to_utf8(byte_alphabet()[b]));
    fallback_ids_[b] = vocabulary_.find(fmt::format("<0x{:02X}>", b));
  }
  character_ids_.assign(0x10000, Vocabulary::kMissing);
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const auto text = vocabulary_.text(id);
    if (!text || text->empty() || text->size() > 3) continue;
    const CodePoint c = code_point_at(*text, 0);
    if (c.size == text->size()) character_ids_[c.value] = id;
  }
  if (!options_.unk_token.empty()) unk_id_ = vocabulary_.find(options_.unk_token);
  find_joints(merges);
}

bool Bpe::has_unknown_token(std::string_view character) const {
  if (unk_id_ == Vocabulary::kMissing && !options_.unk_token.empty()) {
    throw Error(ErrorKind::format, fmt::format("neither '{}' nor the unknown token '{}' is in the vocabulary",
                                               character, options_.unk_token));
  }
  return unk_id_ != Vocabulary::kMissing;
}

const Bpe::Slot* Bpe::find_merge(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  size_t at = pair_hash(key) & (slots_.size() - 1);
  while (slots_[at].pair != UINT64_MAX) {
    if (slots_[at].pair == key) return &slots_[at];
    at = (at + 1) & (slots_.size() - 1);
  }
  return nullptr;
}

void Bpe::encode_bytes(std::string_view piece, std::vector<PieceToken>& out) const {
  encode_in_parts(piece, true, out);
}
void Bpe::encode_characters(std::string_view piece, std::vector<PieceToken>& out) const {
  encode_in_parts(piece, false, out);
}

void Bpe::encode_in_parts(std::string_view piece, bool bytes, std::vector<PieceToken>& out) const {
  // With ignore_merges a part could be a token that the whole piece would not have been cut into.
  if (piece.size() <= kRememberedBytes || joints_.empty() || options_.ignore_merges) {
    return encode_cached(piece, bytes, out);
  }
  size_t begin = 0;
  int32_t previous = Vocabulary::kMissing;
  for (size_t at = 0; at < piece.size();) {
    const CodePoint c =
        bytes ? CodePoint{static_cast<unsigned char>(piece[at]), 1} : code_point_at(piece, at);
    const int32_t id = bytes ? byte_ids_[c.value] : character_id(c, piece.substr(at, c.size));
    if (previous != Vocabulary::kMissing && id != Vocabulary::kMissing && !is_joint(previous, id)) {
      encode_cached(piece.substr(begin, at - begin), bytes, out);
      begin = at;
    }
    previous = id;
    at += c.size;
  }
  encode_cached(piece.substr(begin), bytes, out);
}

int32_t Bpe::character_id(CodePoint c, std::string_view character) const {
  return c.value < 0x10000 ? character_ids_[c.value] : vocabulary_.find(character);
}

bool Bpe::is_joint(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  size_t at = pair_hash(key) & (joints_.size() - 1);
  while (joints_[at] != UINT64_MAX && joints_[at] != key) at = (at + 1) & (joints_.size() - 1);
  return joints_[at] == key;
}

// A merge joins the last symbol of its left token and the first of its right one.
void Bpe::find_joints(const std::vector<Merge>& merges) {
  struct Ends {
    int32_t first = Vocabulary::kMissing, last = Vocabulary::kMissing;
  };
  std::vector<Ends> ends(static_cast<size_t>(vocabulary_.size()));
  const auto symbol = [&](int32_t id) {
    if (id != Vocabulary::kMissing) ends[static_cast<size_t>(id)] = {id, id};
  };
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const auto text = vocabulary_.text(id);
    if (text && !text->empty() && code_point_at(*text, 0).size == text->size())
      symbol(vocabulary_.find(*text));
  }
  for (const int32_t id : fallback_ids_) symbol(id);
  symbol(unk_id_);
  bool changed = true;
  for (int pass = 0; changed; ++pass) {
    if (pass == 8) return;  // merges in an order that no trainer writes
    changed = false;
    for (const Merge& m : merges) {
      const Ends& left = ends[static_cast<size_t>(m.left)];
      const Ends& right = ends[static_cast<size_t>(m.right)];
      if (left.first == Vocabulary::kMissing || right.first == Vocabulary::kMissing) continue;
      Ends& result = ends[static_cast<size_t>(m.result)];
      if (result.first == Vocabulary::kMissing) {
        result = {left.first, right.last};
        changed = true;
      } else if (result.first != left.first || result.last != right.last) {
        return;  // one token made of different symbols
      }
    }
  }
  std::vector<uint64_t> pairs;
  for (const Merge& m : merges) {
    const Ends& left = ends[static_cast<size_t>(m.left)];
    const Ends& right = ends[static_cast<size_t>(m.right)];
    if (left.first != Vocabulary::kMissing && right.first != Vocabulary::kMissing) {
      pairs.push_back(pair_key(left.last, right.first));
    }
  }
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  size_t slots = 64;
  while (slots < 4 * pairs.size()) slots *= 2;
  joints_.assign(slots, UINT64_MAX);
  for (const uint64_t key : pairs) {
    size_t at = pair_hash(key) & (slots - 1);
    while (joints_[at] != UINT64_MAX) at = (at + 1) & (slots - 1);
    joints_[at] = key;
  }
}

void Bpe::encode_cached(std::string_view piece, bool bytes, std::vector<PieceToken>& out) const {
  if (piece.empty()) return;
  if (piece.size() > kMaxPieceBytes) {
    throw Error(ErrorKind::resource, fmt::format("a text of {} bytes without a break is more than {} bytes",
                                                 piece.size(), kMaxPieceBytes));
  }
  Remembered* memory = nullptr;
  if (piece.size() <= kRememberedBytes) {
    Scratch& s = scratch();
    if (s.instance != instance_) {
      s.remembered.assign(kRememberedPieces, Remembered{});
      s.instance = instance_;
    }
    memory = &s.remembered[hash_bytes(piece) & (kRememberedPieces - 1)];
    if (memory->size == piece.size() && std::memcmp(memory->piece, piece.data(), piece.size()) == 0) {
      for (int i = 0; i < memory->tokens; ++i) out.push_back({memory->ids[i], memory->sizes[i]});
      return;
    }
  }
  const size_t first = out.size();
  int32_t whole = Vocabulary::kMissing;
  if (options_.ignore_merges) {
    if (bytes) {
      std::string& word = scratch().word;
      word.clear();
      append_in_byte_alphabet(word, piece);
      whole = vocabulary_.find(word);
    } else {
      whole = vocabulary_.find(piece);
    }
  }
  if (whole != Vocabulary::kMissing) {
    out.push_back({whole, static_cast<uint32_t>(piece.size())});
  } else {
    bytes ? start_from_bytes(piece, out) : start_from_characters(piece, out);
    if (out.size() - first <= kFewSymbols) {
      merge_few(out, first);
    } else {
      merge_many(out, first);
    }
  }
  const size_t count = out.size() - first;
  if (!memory || count > kRememberedTokens) return;
  std::memcpy(memory->piece, piece.data(), piece.size());
  memory->size = static_cast<uint8_t>(piece.size());
  memory->tokens = static_cast<uint8_t>(count);
  for (size_t i = 0; i < count; ++i) {
    memory->ids[i] = out[first + i].id;
    memory->sizes[i] = static_cast<uint8_t>(out[first + i].size);
  }
}

void Bpe::start_from_bytes(std::string_view piece, std::vector<PieceToken>& symbols) const {
  // A byte that the vocabulary lacks is an unknown character of the byte alphabet.
  uint32_t unknown = 0;
  const auto flush = [&] {
    if (unknown) symbols.push_back({unk_id_, unknown});
    unknown = 0;
  };
  for (const char c : piece) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id != Vocabulary::kMissing) {
      flush();
      symbols.push_back({id, 1});
    } else if (has_unknown_token(to_utf8(byte_alphabet()[static_cast<unsigned char>(c)]))) {
      if (!options_.fuse_unk) flush();
      ++unknown;
    }
  }
  flush();
}

void Bpe::start_from_characters(std::string_view piece, std::vector<PieceToken>& symbols) const {
  uint32_t unknown = 0;  // bytes of the unknown token that is not written yet
  const auto flush = [&] {
    if (unknown) symbols.push_back({unk_id_, unknown});
    unknown = 0;
  };
  for (size_t at = 0; at < piece.size();) {
    const CodePoint c = code_point_at(piece, at);
    const std::string_view character = piece.substr(at, c.size);
    at += c.size;
    const int32_t id = character_id(c, character);
    if (id != Vocabulary::kMissing) {
      flush();
      symbols.push_back({id, c.size});
      continue;
    }
    if (options_.byte_fallback && std::all_of(character.begin(), character.end(), [&](char b) {
          return fallback_ids_[static_cast<unsigned char>(b)] != Vocabulary::kMissing;
        })) {
      // A pending unknown token stays pending here and comes after these bytes, as in the official library.
      for (const char b : character) symbols.push_back({fallback_ids_[static_cast<unsigned char>(b)], 1});
      continue;
    }
    if (!has_unknown_token(character)) continue;
    if (!options_.fuse_unk) flush();
    unknown += c.size;
  }
  flush();
}

void Bpe::merge_few(std::vector<PieceToken>& symbols, size_t first) const {
  const Slot* pairs[kFewSymbols];  // the merge of symbol i and i + 1
  PieceToken* s = symbols.data() + first;
  size_t n = symbols.size() - first;
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = find_merge(s[i].id, s[i + 1].id);
  while (n > 1) {
    size_t best = n;
    uint32_t rank = UINT32_MAX;
    for (size_t i = 0; i + 1 < n; ++i) {
      if (pairs[i] && pairs[i]->rank < rank) rank = pairs[i]->rank, best = i;
    }
    if (best == n) break;
    s[best] = {pairs[best]->result, s[best].size + s[best + 1].size};
    for (size_t i = best + 1; i + 1 < n; ++i) s[i] = s[i + 1];
    for (size_t i = best + 1; i + 2 < n; ++i) pairs[i] = pairs[i + 1];
    --n;
    if (best > 0) pairs[best - 1] = find_merge(s[best - 1].id, s[best].id);
    if (best + 1 < n) pairs[best] = find_merge(s[best].id, s[best + 1].id);
  }
  symbols.resize(first + n);
}

namespace {

// Candidates by rank, then place. Each rank has a bucket that is gone through from left to right, so that
// even for a line of many megabytes memory is read in order.
class Candidates {
 public:
  void push(uint32_t rank, uint32_t place, int32_t result) {
    const auto [it, inserted] = by_rank_.try_emplace(rank, static_cast<uint32_t>(buckets_.size()));
    if (inserted) buckets_.emplace_back();
    Bucket& b = buckets_[it->second];
    const uint64_t item = static_cast<uint64_t>(place) << 32 | static_cast<uint32_t>(result);
    if (b.open) {
      b.late.push_back(item);
      std::push_heap(b.late.begin(), b.late.end(), std::greater<>());
    } else {
      b.sorted = b.sorted && (b.items.empty() || b.items.back() < item);
      b.items.push_back(item);
    }
    if (b.waiting) return;
    b.waiting = true;
    order_.emplace_back(rank, it->second);
    std::push_heap(order_.begin(), order_.end(), std::greater<>());
  }

  /// The candidate to merge next; false at the end.
  bool pop(uint32_t* place, int32_t* result) {
    while (!order_.empty()) {
      Bucket& b = buckets_[order_.front().second];
      if (!b.open) {
        if (!b.sorted) std::sort(b.items.begin(), b.items.end());
        b.open = true;
      }
      const bool more = b.next < b.items.size();
      if (!more && b.late.empty()) {
        b = Bucket{};
        std::pop_heap(order_.begin(), order_.end(), std::greater<>());
        order_.pop_back();
        continue;
      }
      uint64_t item = 0;
      if (more && (b.late.empty() || b.items[b.next] < b.late.front())) {
        item = b.items[b.next++];
      } else {
        item = b.late.front();
        std::pop_heap(b.late.begin(), b.late.end(), std::greater<>());
        b.late.pop_back();
      }
      *place = static_cast<uint32_t>(item >> 32);
      *result = static_cast<int32_t>(static_cast<uint32_t>(item));
      return true;
    }
    return false;
  }

 private:
  struct Bucket {
    std::vector<uint64_t> items;  // place, then result
    size_t next = 0;
    std::vector<uint64_t> late;  // a heap: what came after the bucket was opened
    bool sorted = true, open = false, waiting = false;
  };
  std::unordered_map<uint32_t, uint32_t> by_rank_;
  std::vector<Bucket> buckets_;
  std::vector<std::pair<uint32_t, uint32_t>> order_;  // a heap of (rank, bucket)
};

}  // namespace

void Bpe::merge_many(std::vector<PieceToken>& symbols, size_t first) const {
  constexpr uint32_t kNone = UINT32_MAX;
  struct Link {
    uint32_t previous, next;
  };
  PieceToken* s = symbols.data() + first;
  const uint32_t n = static_cast<uint32_t>(symbols.size() - first);
  std::vector<Link> links(n);
  Candidates candidates;
  const auto consider = [&](uint32_t left, uint32_t right) {
    if (const Slot* m = find_merge(s[left].id, s[right].id)) candidates.push(m->rank, left, m->result);
  };
  for (uint32_t i = 0; i < n; ++i) {
    links[i] = {i == 0 ? kNone : i - 1, i + 1 == n ? kNone : i + 1};
    if (i + 1 < n) consider(i, i + 1);
  }
  uint32_t left = 0;
  int32_t result = 0;
  while (candidates.pop(&left, &result)) {
    if (s[left].size == 0) continue;
    const uint32_t right = links[left].next;
    if (right == kNone) continue;
    // The candidate is out of date where either symbol has changed since.
    const Slot* now = find_merge(s[left].id, s[right].id);
    if (!now || now->result != result) continue;
    s[left] = {result, s[left].size + s[right].size};
    s[right].size = 0;
    links[left].next = links[right].next;
    if (links[left].next != kNone) links[links[left].next].previous = left;
    if (links[left].previous != kNone) consider(links[left].previous, left);
    if (links[left].next != kNone) consider(left, links[left].next);
  }
  symbols.erase(std::remove_if(symbols.begin() + static_cast<ptrdiff_t>(first), symbols.end(),
                               [](const PieceToken& t) { return t.size == 0; }),
                symbols.end());
}

}  // namespace lorikeet::text
