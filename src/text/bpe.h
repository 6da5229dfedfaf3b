#pragma once
// Byte-pair encoding of one piece of text by a list of ranked merges.
//
// Pieces come either as raw bytes (byte-level vocabularies: each byte is a symbol) or as characters
// (vocabularies of plain text: each character is a symbol, unknown ones fall back to bytes or to the unknown
// token). Cost is n log n in the piece; short pieces are remembered per thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.h"
#include "text/vocabulary.h"

namespace lorikeet::text {

/// One token of a piece and how many of the piece's bytes it covers.
struct PieceToken {
  int32_t id;
  uint32_t size;
};

struct BpeOptions {
  bool ignore_merges = false;  ///< a piece that is a token as a whole is that token
  bool byte_fallback = false;  ///< unknown characters become tokens <0x00> .. <0xFF>
  bool fuse_unk = false;       ///< neighbouring unknown characters become one unknown token
  std::string unk_token;       ///< empty: unknown characters vanish
};

/// A pair of neighbouring tokens that may become one.
struct Merge {
  int32_t left, right, result;
  uint32_t rank;  ///< the smallest rank is merged first, the leftmost of equal ones
};

class Bpe {
 public:
  Bpe() = default;
  /// `vocabulary` is in the byte alphabet where pieces will come as raw bytes.
  Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options);

  /// Appends the tokens of a piece of raw bytes. Throws Error(format) for an unknown character where the
  /// unknown token is not in the vocabulary.
  void encode_bytes(std::string_view piece, std::vector<PieceToken>& out) const;
  /// Appends the tokens of a piece of valid UTF-8.
  void encode_characters(std::string_view piece, std::vector<PieceToken>& out) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  const BpeOptions& options() const { return options_; }

 private:
  struct Slot {
    uint64_t pair = UINT64_MAX;
    uint32_t rank = 0;
    int32_t result = 0;
  };
  struct Scratch;
  static Scratch& scratch();
  bool has_unknown_token(std::string_view character) const;
  const Slot* find_merge(int32_t left, int32_t right) const;
  void find_joints(const std::vector<Merge>& merges);
  int32_t character_id(CodePoint c, std::string_view character) const;
  bool is_joint(int32_t left, int32_t right) const;
  void encode_in_parts(std::string_view piece, bool bytes, std::vector<PieceToken>& out) const;
  void encode_cached(std::string_view piece, bool bytes, std::vector<PieceToken>& out) const;
  void start_from_bytes(std::string_view piece, std::vector<PieceToken>& symbols) const;
  void start_from_characters(std::string_view piece, std::vector<PieceToken>& symbols) const;
  void merge_few(std::vector<PieceToken>& symbols, size_t first) const;
  void merge_many(std::vector<PieceToken>& symbols, size_t first) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  std::vector<Slot> slots_;
  std::vector<int32_t> byte_ids_;       // [256] the token of a byte's character in the byte alphabet
  std::vector<int32_t> fallback_ids_;   // [256] <0xNN>
  std::vector<int32_t> character_ids_;  // the token of a single character below U+10000
  // Symbols that some token holds next to each other. Between others no merge ever happens, so a piece can be
  // cut there. Empty where that is not known.
  std::vector<uint64_t> joints_;
  int32_t unk_id_ = Vocabulary::kMissing;
  uint64_t instance_ = 0;  // tells one tokenizer's remembered pieces from another's
};

}  // namespace lorikeet::text
