#pragma once
// What a tokenizer is made of. Filled by one reader per file format, used by Tokenizer.
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/sentencepiece.h"

namespace lorikeet::text {

/// Kinds of tokens in SentencePiece models and GGUF files.
enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

/// U+2581, which stands for a space in SentencePiece vocabularies.
inline constexpr const char* kSpaceMark = "\xE2\x96\x81";

struct TokenizerParts {
  NormalizerPtr normalizer;       // may be null
  PreTokenizerPtr pre_tokenizer;  // may be null: a section is one piece
  DecoderPtr decoder;             // may be null: tokens are joined by spaces
  Bpe bpe;
  std::unordered_map<int32_t, AddedToken> added;
  std::unordered_map<std::string, int32_t> added_ids;
  AddedTokenMatcher raw_matcher;         // found in the text as it came
  AddedTokenMatcher normalized_matcher;  // found in the normalized text
  Surround surround;
  std::optional<int32_t> bos, eos, pad, unk;
  std::optional<std::string> chat_template;
  int32_t vocab_size = 0;

  /// The id of an added token or a token of the vocabulary.
  std::optional<int32_t> find(std::string_view token) const;
  /// Registers an added token under the id that the official library gives it: the vocabulary's, where that
  /// has its text, else the id in the file.
  void add_token(AddedToken token, const std::string& where);
  /// To be called once all parts are there: builds the matchers and counts the ids.
  void finish();
};

/// tokenizer.json (its whole text); `name` stands in errors.
TokenizerParts read_tokenizer_json(std::string_view json, const std::string& name);
/// `spaces`: null for a GGUF file.
TokenizerParts read_gguf_tokenizer(const GgufTokenizerSource& source,
                                   const SentencePieceModel* spaces = nullptr);
inline TokenizerParts read_sentencepiece(const SentencePieceModel& model) {
  return read_gguf_tokenizer(model.vocabulary, &model);
}
/// What the files beside the vocabulary's add: special tokens, chat template. `with_sentencepiece`: added
/// tokens stand in added_tokens.json too, and BOS is added unless the files say otherwise.
void read_tokenizer_config(const std::filesystem::path& folder, bool with_sentencepiece,
                           TokenizerParts& parts);
/// The BPE pre-tokenizer that a GGUF file means by tokenizer.ggml.pre. Throws Error(unsupported) naming it.
struct GgufPre {
  PreTokenizerPtr pre_tokenizer;
  NormalizerPtr normalizer;
  bool ignore_merges = false;
  bool add_bos = false;               ///< where the file does not say
  bool nfc = false;                   ///< what the two parts above are, for writing a tokenizer.json: NFC,
  std::vector<std::string> patterns;  ///< then these splits in order, matches isolated, then byte level
};
GgufPre make_gguf_pre(const std::string& name, const std::string& where);
/// The name that means these splits (as GgufPre::patterns). Throws Error(unsupported) if there is none.
std::string find_gguf_pre(const std::vector<std::string>& patterns, bool nfc, bool ignore_merges,
                          const std::string& where);
/// What ByteLevel with use_regex splits by.
extern const char* const kGpt2Pattern;

}  // namespace lorikeet::text
