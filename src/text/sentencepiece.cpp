// Reads tokenizer.model, the file of the `sentencepiece` library: a protocol buffer that holds the pieces
// with their scores. Field numbers: sentencepiece_model.proto of google/sentencepiece.
#include "text/sentencepiece.h"

#include "core/error.h"
#include "text/proto_message.h"
#include "text/tokenizer_parts.h"

namespace lorikeet {
namespace {

using namespace text;

/// What the model says about how it was trained and how it rewrites text; the initial values are the
/// library's.
struct ModelRules {
  int64_t model_type = 1;
  bool space_is_suffix = false;
  std::string normalization;
  bool has_character_map = false, adds_prefix = true, removes_spaces = true, escapes_spaces = true;
};

constexpr const char* kModelTypes[] = {"?", "Unigram", "BPE", "Word", "Char"};
constexpr int64_t kBpe = 2;

void read_piece(std::string_view bytes, const std::string& where, GgufTokenizerSource& s) {
  std::string piece;
  float score = 0;
  int64_t type = kNormal;
  for (ProtoMessage m(bytes, where); m.next();) {
    if (m.field() == 1) piece = m.bytes();
    if (m.field() == 2) score = m.number();
    if (m.field() == 3) type = m.integer();
  }
  if (type < kNormal || type > kByte)
    throw Error(ErrorKind::format, fmt::format("piece '{}' has the unknown type {}", piece, type), where);
  if (type == kUnused)
    throw Error(ErrorKind::unsupported, fmt::format("the unused piece '{}' is not supported", piece), where,
                "use the model's tokenizer.json");
  if (type == kUnknown) s.unk_id = static_cast<int32_t>(s.tokens.size());
  s.tokens.push_back(std::move(piece));
  s.scores.push_back(score);
  s.token_types.push_back(static_cast<int32_t>(type));
}

void read_trainer(std::string_view bytes, const std::string& where, ModelRules& rules,
                  GgufTokenizerSource& s) {
  const auto id = [](int64_t value) -> std::optional<int32_t> {
    if (value < 0 || value > INT32_MAX) return std::nullopt;  // -1: there is none
    return static_cast<int32_t>(value);
  };
  for (ProtoMessage m(bytes, where + ", trainer_spec"); m.next();) {
    if (m.field() == 3) rules.model_type = m.integer();
    if (m.field() == 24) rules.space_is_suffix = m.boolean();
    if (m.field() == 41) s.bos_id = id(m.integer());
    if (m.field() == 42) s.eos_id = id(m.integer());
    if (m.field() == 43) s.pad_id = id(m.integer());
  }
}

void read_normalizer(std::string_view bytes, const std::string& where, ModelRules& rules) {
  for (ProtoMessage m(bytes, where + ", normalizer_spec"); m.next();) {
    if (m.field() == 1) rules.normalization = m.bytes();
    if (m.field() == 2) rules.has_character_map = !m.bytes().empty();
    if (m.field() == 3) rules.adds_prefix = m.boolean();
    if (m.field() == 4) rules.removes_spaces = m.boolean();
    if (m.field() == 5) rules.escapes_spaces = m.boolean();
  }
}

void check(const ModelRules& r, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::unsupported, what + " is not supported", where,
                "use the model's tokenizer.json, or a SentencePiece model like Llama's: BPE, identity");
  };
  if (r.model_type != kBpe)
    refuse(fmt::format("a SentencePiece model of type '{}'",
                       kModelTypes[r.model_type > 0 && r.model_type < 5 ? r.model_type : 0]));
  if (r.has_character_map) refuse(fmt::format("the normalization '{}'", r.normalization));
  if (r.removes_spaces) refuse("remove_extra_whitespaces");
  if (!r.escapes_spaces) refuse("escape_whitespaces: false");
  if (r.space_is_suffix) refuse("treat_whitespace_as_suffix");
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& name) {
  if (bytes.empty() || bytes[0] != '\x0a')
    throw Error(ErrorKind::unsupported, "the file is no SentencePiece model", name,
                "a tiktoken vocabulary is not read; use the model's tokenizer.json");
  SentencePieceModel model;
  GgufTokenizerSource& s = model.vocabulary;
  s.model = "llama";
  s.file = name;
  s.bos_id = 1;
  s.eos_id = 2;
  ModelRules rules;
  for (ProtoMessage m(bytes, name); m.next();) {
    if (m.field() == 1) read_piece(m.bytes(), fmt::format("{}, piece {}", name, s.tokens.size()), s);
    if (m.field() == 2) read_trainer(m.bytes(), name, rules, s);
    if (m.field() == 3) read_normalizer(m.bytes(), name, rules);
  }
  check(rules, name);
  if (!s.unk_id) throw Error(ErrorKind::format, "there is no unknown piece", name);
  s.add_bos = s.add_eos = false;
  s.add_space_prefix = rules.adds_prefix;
  return model;
}

}  // namespace lorikeet
