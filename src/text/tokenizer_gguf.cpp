// Builds a tokenizer from GGUF metadata.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace lorikeet::text {
namespace {

// Longer pieces are never the result of a merge; splitting them everywhere would take quadratic time.
constexpr size_t kMaxMergedBytes = 512;

std::string place(const GgufTokenizerSource& s, const char* key) {
  return fmt::format("{}, {}", s.file, key);
}

int32_t type_of(const GgufTokenizerSource& s, size_t id) {
  return s.token_types.empty() ? kNormal : s.token_types[id];
}

void check_sizes(const GgufTokenizerSource& s) {
  if (s.tokens.empty())
    throw Error(ErrorKind::format, "the vocabulary is empty", place(s, "tokenizer.ggml.tokens"));
  if (s.tokens.size() > static_cast<size_t>(Vocabulary::kMaxTokens)) {
    throw Error(
        ErrorKind::format,
        fmt::format("the vocabulary has {} tokens, more than {}", s.tokens.size(), Vocabulary::kMaxTokens),
        place(s, "tokenizer.ggml.tokens"));
  }
  if (!s.token_types.empty() && s.token_types.size() != s.tokens.size()) {
    throw Error(ErrorKind::format,
                fmt::format("{} token types for {} tokens", s.token_types.size(), s.tokens.size()),
                place(s, "tokenizer.ggml.token_type"));
  }
  for (size_t id = 0; id < s.tokens.size(); ++id) {
    if (!is_valid_utf8(s.tokens[id])) {
      throw Error(ErrorKind::format, fmt::format("token {} is not UTF-8", id),
                  place(s, "tokenizer.ggml.tokens"));
    }
  }
}

Vocabulary vocabulary_of(const GgufTokenizerSource& s) {
  Vocabulary out;
  out.reserve(s.tokens.size(), s.tokens.size() * 8);
  const std::string where = place(s, "tokenizer.ggml.tokens");
  for (size_t id = 0; id < s.tokens.size(); ++id) out.add(s.tokens[id], static_cast<int64_t>(id), where);
  return out;
}

std::vector<Merge> listed_merges(const GgufTokenizerSource& s, const Vocabulary& vocabulary) {
  std::vector<Merge> out;
  out.reserve(s.merges.size());
  for (size_t i = 0; i < s.merges.size(); ++i) {
    const std::string_view line = s.merges[i];
    // A token of the byte alphabet holds no space, but converters write one that begins with it.
    const size_t space = line.find(' ', 1);
    Merge m{Vocabulary::kMissing, Vocabulary::kMissing, Vocabulary::kMissing, static_cast<uint32_t>(i)};
    if (space != std::string_view::npos) {
      const std::string_view left = line.substr(0, space), right = line.substr(space + 1);
      m.left = vocabulary.find(left);
      m.right = vocabulary.find(right);
      m.result = vocabulary.find(std::string(left) + std::string(right));
    }
    if (m.left == Vocabulary::kMissing || m.right == Vocabulary::kMissing ||
        m.result == Vocabulary::kMissing) {
      throw Error(ErrorKind::format,
                  fmt::format("the merge {} '{}' does not join two tokens into a third", i, line),
                  place(s, "tokenizer.ggml.merges"));
    }
    out.push_back(m);
  }
  return out;
}

// SentencePiece joins the neighbours whose union has the best score; as a list of merges, that is every way
// to cut a token in two, ranked by the token's score.
std::vector<Merge> scored_merges(const GgufTokenizerSource& s, const Vocabulary& vocabulary) {
  if (s.scores.size() != s.tokens.size()) {
    throw Error(ErrorKind::format, fmt::format("{} scores for {} tokens", s.scores.size(), s.tokens.size()),
                place(s, "tokenizer.ggml.scores"));
  }
  std::vector<float> order(s.scores);
  for (const float score : order) {
    if (std::isnan(score))
      throw Error(ErrorKind::format, "a score is not a number", place(s, "tokenizer.ggml.scores"));
  }
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  std::vector<Merge> out;
  for (size_t id = 0; id < s.tokens.size(); ++id) {
    const std::string_view token = s.tokens[id];
    const int32_t type = type_of(s, id);
    if ((type != kNormal && type != kUserDefined) || token.size() > kMaxMergedBytes) continue;
    if (vocabulary.find(token) != static_cast<int32_t>(id)) continue;
    const auto rank = static_cast<uint32_t>(
        std::lower_bound(order.begin(), order.end(), s.scores[id], std::greater<>()) - order.begin());
    for (size_t at = 0; at < token.size();) {
      at += code_point_at(token, at).size;
      if (at >= token.size()) break;
      const int32_t left = vocabulary.find(token.substr(0, at)), right = vocabulary.find(token.substr(at));
      if (left == Vocabulary::kMissing || right == Vocabulary::kMissing) continue;
      out.push_back({left, right, static_cast<int32_t>(id), rank});
    }
  }
  return out;
}

void byte_level_parts(const GgufTokenizerSource& s, const SentencePieceModel*, TokenizerParts& parts) {
  GgufPre pre = make_gguf_pre(s.pre.empty() ? "default" : s.pre, place(s, "tokenizer.ggml.pre"));
  Vocabulary vocabulary = vocabulary_of(s);
  const std::vector<Merge> merges = listed_merges(s, vocabulary);
  BpeOptions options;
  options.ignore_merges = pre.ignore_merges;
  parts.bpe = Bpe(std::move(vocabulary), merges, std::move(options));
  parts.pre_tokenizer = std::move(pre.pre_tokenizer);
  parts.normalizer = std::move(pre.normalizer);
  parts.decoder = make_byte_level_decoder();
  if (s.add_bos.value_or(pre.add_bos) && s.bos_id) parts.surround.prefix.push_back(*s.bos_id);
}

void llama_parts(const GgufTokenizerSource& s, const SentencePieceModel* spaces, TokenizerParts& parts) {
  Vocabulary vocabulary = vocabulary_of(s);
  const std::vector<Merge> merges = scored_merges(s, vocabulary);
  BpeOptions options;
  options.byte_fallback = true;
  options.fuse_unk = true;
  if (s.unk_id && *s.unk_id >= 0 && static_cast<size_t>(*s.unk_id) < s.tokens.size()) {
    options.unk_token = s.tokens[static_cast<size_t>(*s.unk_id)];
  }
  parts.bpe = Bpe(std::move(vocabulary), merges, std::move(options));
  const bool prefix = s.add_space_prefix.value_or(true);
  const bool every = !spaces || spaces->prefix_every_stretch;
  parts.normalizer = make_llama_normalizer(!prefix ? SpacePrefix::none
                                           : every ? SpacePrefix::every_stretch
                                                   : SpacePrefix::first_stretch);
  parts.decoder = make_llama_decoder(prefix);
  if (s.add_bos.value_or(true) && s.bos_id) parts.surround.prefix.push_back(*s.bos_id);
}

struct Kind {
  const char* model;
  void (*fill)(const GgufTokenizerSource&, const SentencePieceModel*, TokenizerParts&);
};
constexpr Kind kKinds[] = {{"gpt2", byte_level_parts}, {"llama", llama_parts}};

std::optional<int32_t> checked_id(const GgufTokenizerSource& s, std::optional<int32_t> id, const char* key) {
  if (!id || (*id >= 0 && static_cast<size_t>(*id) < s.tokens.size())) return id;
  throw Error(ErrorKind::format, fmt::format("token id {} in a vocabulary of {}", *id, s.tokens.size()),
              place(s, key));
}

}  // namespace

TokenizerParts read_gguf_tokenizer(const GgufTokenizerSource& s, const SentencePieceModel* spaces) {
  TokenizerParts parts;
  if (s.huggingface_json) {
    parts = read_tokenizer_json(*s.huggingface_json, place(s, "tokenizer.huggingface.json"));
  } else {
    const Kind* kind =
        std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return s.model == k.model; });
    if (kind == std::end(kKinds)) {
      throw Error(ErrorKind::unsupported, fmt::format("tokenizer model '{}' is not supported", s.model),
                  place(s, "tokenizer.ggml.model"), "known are: gpt2, llama");
    }
    check_sizes(s);
    kind->fill(s, spaces, parts);
    if (s.add_eos.value_or(false) && s.eos_id) parts.surround.suffix.push_back(*s.eos_id);
    for (size_t id = 0; id < s.tokens.size(); ++id) {
      const int32_t type = type_of(s, id);
      if (type != kControl && type != kUserDefined && type != kUnknown) continue;
      AddedToken token;
      token.id = static_cast<int32_t>(id);
      token.content = s.tokens[id];
      token.special = type != kUserDefined;
      token.normalized = token.verbatim = type == kUserDefined && spaces;
      // Of several tokens with one text, the vocabulary finds the last.
      if (parts.bpe.vocabulary().find(token.content) != token.id) continue;
      parts.add_token(std::move(token), place(s, "tokenizer.ggml.tokens"));
    }
    parts.bos = checked_id(s, s.bos_id, "tokenizer.ggml.bos_token_id");
    parts.eos = checked_id(s, s.eos_id, "tokenizer.ggml.eos_token_id");
    parts.pad = checked_id(s, s.pad_id, "tokenizer.ggml.padding_token_id");
    parts.unk = checked_id(s, s.unk_id, "tokenizer.ggml.unknown_token_id");
  }
  if (s.huggingface_json) {
    parts.bos = s.bos_id;
    parts.eos = s.eos_id;
    parts.pad = s.pad_id;
    parts.unk = s.unk_id;
  }
  parts.chat_template = s.chat_template;
  return parts;
}

}  // namespace lorikeet::text
