#include "text/tokenizer.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "io/json.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace lorikeet {
namespace {

using text::Pieces;
using text::PieceToken;
using text::Range;
using text::Section;
using text::TokenizerParts;

constexpr size_t kMaxTokenizerBytes = 256u << 20;
constexpr const char *kTokenizerJson = "tokenizer.json", *kModel = "tokenizer.model",
                     *kTekken = "tekken.json";

Tokenizer finished(TokenizerParts parts) {
  parts.finish();
  return Tokenizer(std::make_shared<const TokenizerParts>(std::move(parts)));
}

// One encoding: the tokens so far, and offsets where wanted.
class Encoder {
 public:
  Encoder(const TokenizerParts& parts, bool with_offsets) : parts_(parts), with_offsets_(with_offsets) {}

  void run(std::string_view input) {
    sections_.clear();
    if (parts_.raw_matcher.empty()) {
      if (!input.empty()) sections_.push_back({{0, input.size()}, -1});
    } else {
      parts_.raw_matcher.split(input, {0, input.size()}, sections_);
    }
    for (const Section& s : sections_) {
      if (s.id >= 0) {
        add(s.id, {s.range.begin, s.range.end});
      } else {
        encode_section(input, s.range);
      }
    }
  }
  void add(int32_t id, TokenOffsets offsets) {
    out.ids.push_back(id);
    if (with_offsets_) out.offsets.push_back(offsets);
  }

  Encoding out;

 private:
  void encode_section(std::string_view input, Range range) {
    Pieces section;
    section.text.assign(input.substr(range.begin, range.end - range.begin));
    section.begins_text = range.begin == 0;
    section.tracked = with_offsets_;
    if (with_offsets_) {
      section.origins.resize(section.text.size());
      for (size_t i = 0; i < section.text.size(); ++i)
        section.origins[i] = {range.begin + i, range.begin + i + 1};
    }
    if (parts_.normalizer) parts_.normalizer->normalize(section);
    if (parts_.normalized_matcher.empty()) {
      encode_pieces(std::move(section));
      return;
    }
    std::vector<Section> inner;
    parts_.normalized_matcher.split(section.text, {0, section.text.size()}, inner);
    for (const Section& s : inner) {
      if (s.id >= 0) {
        add(s.id, origin_of(section, s.range));
        continue;
      }
      Pieces part;
      part.text = section.text.substr(s.range.begin, s.range.end - s.range.begin);
      part.begins_text = section.begins_text && s.range.begin == 0;
      part.tracked = section.tracked;
      if (with_offsets_) {
        part.origins.assign(section.origins.begin() + static_cast<ptrdiff_t>(s.range.begin),
                            section.origins.begin() + static_cast<ptrdiff_t>(s.range.end));
      }
      encode_pieces(std::move(part));
    }
  }

  void encode_pieces(Pieces pieces) {
    if (pieces.text.empty()) return;
    pieces.pieces.assign(1, {0, pieces.text.size()});
    if (parts_.pre_tokenizer) parts_.pre_tokenizer->split(pieces);
    for (const Range& piece : pieces.pieces) {
      tokens_.clear();
      if (pieces.raw_bytes) {
        parts_.bpe.encode_bytes(pieces.view(piece), tokens_);
      } else {
        parts_.bpe.encode_characters(pieces.view(piece), tokens_);
      }
      size_t at = piece.begin;
      for (const PieceToken& t : tokens_) {
        add(t.id, with_offsets_ ? origin_of(pieces, {at, std::min(at + t.size, piece.end)}) : TokenOffsets{});
        at += t.size;
      }
    }
  }

  static TokenOffsets origin_of(const Pieces& pieces, Range range) {
    if (!pieces.tracked || range.begin >= range.end) return {};
    return {pieces.origins[range.begin].begin, pieces.origins[range.end - 1].end};
  }

  const TokenizerParts& parts_;
  bool with_offsets_;
  std::vector<Section> sections_;
  std::vector<PieceToken> tokens_;
};

// Where each byte of the repaired text came from.
std::vector<TokenOffsets> repair(std::string_view input, std::string& repaired) {
  std::vector<TokenOffsets> origins;
  for (size_t at = 0; at < input.size();) {
    uint32_t bad = 0;
    const uint32_t size = text::utf8_sequence(input, at, &bad);
    if (size) {
      repaired.append(input, at, size);
      for (size_t i = 0; i < size; ++i) origins.push_back({at + i, at + i + 1});
      at += size;
    } else {
      repaired += "\xef\xbf\xbd";
      origins.insert(origins.end(), 3, {at, at + bad});
      at += bad;
    }
  }
  return origins;
}

Encoding encode_text(const TokenizerParts& parts, std::string_view input, bool with_offsets, bool special) {
  Encoder encoder(parts, with_offsets);
  if (special) {
    for (const int32_t id : parts.surround.prefix) encoder.add(id, {0, 0});
  }
  if (text::is_valid_utf8(input)) {
    encoder.run(input);
  } else {
    std::string repaired;
    const std::vector<TokenOffsets> origins = repair(input, repaired);
    const size_t first = encoder.out.offsets.size();
    encoder.run(repaired);
    for (size_t i = first; i < encoder.out.offsets.size(); ++i) {
      TokenOffsets& o = encoder.out.offsets[i];
      const size_t begin = o.begin < origins.size() ? origins[o.begin].begin : input.size();
      o = {begin, o.begin < o.end ? origins[o.end - 1].end : begin};
    }
  }
  if (special) {
    for (const int32_t id : parts.surround.suffix) encoder.add(id, {input.size(), input.size()});
  }
  return std::move(encoder.out);
}

std::string token_text(const TokenizerParts& parts, std::optional<int32_t> id) {
  if (!id) return {};
  if (const auto it = parts.added.find(*id); it != parts.added.end()) return it->second.content;
  return std::string(parts.bpe.vocabulary().text(*id).value_or(""));
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}

Tokenizer Tokenizer::from_folder(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kTokenizerJson;
  const bool sentencepiece = !std::filesystem::exists(file) && std::filesystem::exists(folder / kModel);
  if (!std::filesystem::exists(file) && !sentencepiece && std::filesystem::exists(folder / kTekken))
    throw Error(ErrorKind::unsupported, "a tekken tokenizer is not supported", (folder / kTekken).string(),
                "put the model's tokenizer.json beside it");
  TokenizerParts parts =
      sentencepiece
          ? text::read_sentencepiece(read_sentencepiece_folder(folder))
          : text::read_tokenizer_json(read_text_file(file.string(), kMaxTokenizerBytes), file.string());
  text::read_tokenizer_config(folder, sentencepiece, parts);
  return finished(std::move(parts));
}

bool has_tokenizer(const std::filesystem::path& folder) {
  const auto holds = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::exists(folder / name, ignored);
  };
  return holds(kTokenizerJson) || holds(kModel) || holds(kTekken);
}

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, const std::string& name) {
  return finished(text::read_tokenizer_json(tokenizer_json, name));
}

Tokenizer Tokenizer::from_gguf(const GgufTokenizerSource& source) {
  return finished(text::read_gguf_tokenizer(source));
}

Tokenizer sentencepiece_tokenizer(std::string_view bytes, const std::string& name) {
  return finished(text::read_sentencepiece(read_sentencepiece_model(bytes, name)));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  return encode_text(*parts_, text, false, add_special_tokens).ids;
}

Encoding Tokenizer::encode_with_offsets(std::string_view text, bool add_special_tokens) const {
  return encode_text(*parts_, text, true, add_special_tokens);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    if (skip_special_tokens && is_special(id)) continue;
    if (std::optional<std::string> token = id_to_token(id)) tokens.push_back(std::move(*token));
  }
  if (parts_->decoder) {
    parts_->decoder->decode(tokens);
  } else {
    for (size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(0, 1, ' ');
  }
  std::string out;
  for (const std::string& t : tokens) out += t;
  return out;
}

int32_t Tokenizer::vocab_size() const { return parts_->vocab_size; }

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const { return parts_->find(token); }

std::optional<std::string> Tokenizer::id_to_token(int32_t id) const {
  if (const auto it = parts_->added.find(id); it != parts_->added.end()) return it->second.content;
  const auto text = parts_->bpe.vocabulary().text(id);
  return text ? std::optional(std::string(*text)) : std::nullopt;
}

bool Tokenizer::is_special(int32_t id) const {
  const auto it = parts_->added.find(id);
  return it != parts_->added.end() && it->second.special;
}

bool Tokenizer::is_added(int32_t id) const { return parts_->added.contains(id); }

std::optional<int32_t> Tokenizer::bos_id() const { return parts_->bos; }
std::optional<int32_t> Tokenizer::eos_id() const { return parts_->eos; }
std::optional<int32_t> Tokenizer::pad_id() const { return parts_->pad; }
std::optional<int32_t> Tokenizer::unk_id() const { return parts_->unk; }
std::string Tokenizer::bos_token() const { return token_text(*parts_, parts_->bos); }
std::string Tokenizer::eos_token() const { return token_text(*parts_, parts_->eos); }
std::string Tokenizer::pad_token() const { return token_text(*parts_, parts_->pad); }
std::string Tokenizer::unk_token() const { return token_text(*parts_, parts_->unk); }

bool Tokenizer::adds_bos() const {
  const auto& prefix = parts_->surround.prefix;
  return parts_->bos && !prefix.empty() && prefix.front() == *parts_->bos;
}

bool Tokenizer::adds_eos() const {
  const auto& suffix = parts_->surround.suffix;
  return parts_->eos && !suffix.empty() && suffix.back() == *parts_->eos;
}

const std::optional<std::string>& Tokenizer::chat_template() const { return parts_->chat_template; }

}  // namespace lorikeet
