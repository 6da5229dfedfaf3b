#pragma once
// The tokenizer: text to token ids and back, from a Hugging Face folder or from GGUF metadata.
//
// Goals: ids and decoded text equal to the official `tokenizers` library; encoding close to linear in the
// text; safe on untrusted files. Non-goals: training a tokenizer, sentence pairs, padding, truncation.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

namespace text {
struct TokenizerParts;
}

/// What GGUF metadata says about the tokenizer (keys `tokenizer.ggml.*`); filled by whoever reads the file.
struct GgufTokenizerSource {
  std::string model;                 ///< tokenizer.ggml.model: "gpt2" or "llama"
  std::string pre;                   ///< tokenizer.ggml.pre; may be empty for model "llama"
  std::vector<std::string> tokens;   ///< token text by id
  std::vector<int32_t> token_types;  ///< 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte
  std::vector<std::string> merges;   ///< "a b"; model "gpt2"
  std::vector<float> scores;         ///< model "llama"
  std::optional<int32_t> bos_id, eos_id, pad_id, unk_id, eot_id;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::optional<std::string> chat_template;
  std::optional<std::string> huggingface_json;  ///< tokenizer.huggingface.json, used first when present
  std::string file;                             ///< named in errors
};

/// Bytes [begin, end) of the encoded text that a token stands for; empty for tokens that were added around
/// it.
struct TokenOffsets {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const TokenOffsets&) const = default;
};

/// Token ids with the place of each in the text.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<TokenOffsets> offsets;  ///< as many as ids
};

/// A tokenizer; cheap to copy and move, and safe to use from several threads at once.
class Tokenizer {
 public:
  /// Reads `tokenizer.json` of a folder, and, where present, `tokenizer_config.json`,
  /// `special_tokens_map.json` and `chat_template.jinja`. Throws Error(format) for a broken file,
  /// Error(unsupported) naming the component for a kind of tokenizer that is not covered, Error(resource)
  /// where a file cannot be read.
  static Tokenizer from_folder(const std::filesystem::path& folder);
  /// Reads the text of a tokenizer.json; `name` stands in errors.
  static Tokenizer from_json(std::string_view tokenizer_json, const std::string& name);
  static Tokenizer from_gguf(const GgufTokenizerSource& source);

  /// Token ids of `text`. Bytes that are not UTF-8 count as U+FFFD. With `add_special_tokens` the
  /// tokenizer's own BOS/EOS rule is applied; text that a chat template wrote is encoded without.
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens) const;
  /// The same with the bytes of `text` that each token stands for.
  Encoding encode_with_offsets(std::string_view text, bool add_special_tokens) const;

  /// The text of `ids`; bytes that form no UTF-8 become U+FFFD; ids outside the vocabulary give nothing.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  /// One more than the largest id (holes in the numbering included).
  int32_t vocab_size() const;
  std::optional<int32_t> token_to_id(std::string_view token) const;
  /// The token as the vocabulary spells it, e.g. "Ġthe"; nothing for an unused id.
  std::optional<std::string> id_to_token(int32_t id) const;
  /// True for added tokens marked special (BOS, EOS, <|im_end|>, ...): not part of visible text.
  bool is_special(int32_t id) const;
  /// True for added tokens, special or not: text is one of them only where it spells it out as a whole.
  bool is_added(int32_t id) const;

  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> pad_id() const;
  std::optional<int32_t> unk_id() const;
  /// The text of a special token as templates see it (`bos_token`, `eos_token`); empty without one.
  std::string bos_token() const;
  std::string eos_token() const;
  std::string pad_token() const;
  std::string unk_token() const;
  /// True where encoding with special tokens begins with BOS (or ends with EOS).
  bool adds_bos() const;
  bool adds_eos() const;

  /// The chat template that came with the tokenizer, if any (the one named "default" of several).
  const std::optional<std::string>& chat_template() const;

  explicit Tokenizer(std::shared_ptr<const text::TokenizerParts> parts);
  const text::TokenizerParts& parts() const { return *parts_; }

 private:
  std::shared_ptr<const text::TokenizerParts> parts_;
};

/// Decodes tokens that come one by one. What it yields is always whole UTF-8, and all of it together equals
/// Tokenizer::decode of all tokens (for byte-fallback vocabularies as long as the bytes form characters).
class StreamDecoder {
 public:
  StreamDecoder(Tokenizer tokenizer, bool skip_special_tokens);
  /// The text that this token completes; empty while a character is still incomplete.
  std::string push(int32_t id);
  /// What was held back, at the end of the stream.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_tokens_;
  std::string take_window(bool all);
  bool ends_open() const;
  std::string bytes_;            // byte-level vocabularies: the beginning of a character
  std::vector<int32_t> window_;  // others: tokens whose text is held back, after those that give context
  size_t context_ = 0;           // window_[0, context_) was yielded already
};

}  // namespace lorikeet
