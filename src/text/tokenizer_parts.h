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
#include "text/tokenizer.h"

namespace lorikeet::text {

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
/// What the files beside tokenizer.json add: special tokens, chat template.
void read_tokenizer_config(const std::filesystem::path& folder, TokenizerParts& parts);
TokenizerParts read_gguf_tokenizer(const GgufTokenizerSource& source);
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

}  // namespace lorikeet::text
