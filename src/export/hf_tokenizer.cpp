#include "export/hf_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "io/atomic_file.h"
#include "model/gguf_family.h"
#include "text/tokenizer_parts.h"

namespace lorikeet {

namespace {

using namespace text;  // the kinds of tokens

int32_t type_of(const GgufTokenizerSource& s, size_t id) {
  return id < s.token_types.size() ? s.token_types[id] : kNormal;
}

Json added_tokens(const GgufTokenizerSource& s) {
  Json list = Json::array();
  for (size_t id = 0; id < s.tokens.size(); ++id) {
    const int32_t type = type_of(s, id);
    if (type != kControl && type != kUserDefined && type != kUnknown) continue;
    list.push_back({{"id", id},
                    {"content", s.tokens[id]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", type != kUserDefined}});
  }
  return list;
}

/// Every token but unused ids: added tokens stand here too, which pins their ids.
Json vocabulary(const GgufTokenizerSource& s) {
  Json::object_t vocab;
  vocab.reserve(s.tokens.size());
  for (size_t id = 0; id < s.tokens.size(); ++id)
    if (type_of(s, id) != kUnused)
      vocab.push_back({s.tokens[id], id});  // not emplace: it searches for the key
  return vocab;
}

Json bpe_model(const GgufTokenizerSource& s, Json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", vocabulary(s)},
          {"merges", std::move(merges)}};
}

/// Puts BOS in front where encoding with special tokens does.
Json bos_template(const GgufTokenizerSource& s) {
  const std::string& bos = s.tokens[static_cast<size_t>(*s.bos_id)];
  const auto special = [&](int type) { return Json{{"SpecialToken", {{"id", bos}, {"type_id", type}}}}; };
  const auto text = [](const char* id, int type) {
    return Json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({special(0), text("A", 0)})},
          {"pair", Json::array({special(0), text("A", 0), special(1), text("B", 1)})},
          {"special_tokens",
           {{bos, {{"id", bos}, {"ids", Json::array({*s.bos_id})}, {"tokens", Json::array({bos})}}}}}};
}

Json byte_level(bool add_prefix_space, bool trim_offsets, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", trim_offsets},
          {"use_regex", use_regex}};
}

Json byte_level_tokenizer(const GgufTokenizerSource& s) {
  const text::GgufPre pre =
      text::make_gguf_pre(s.pre.empty() ? "default" : s.pre, s.file + ", tokenizer.ggml.pre");
  Json steps = Json::array();
  for (const std::string& pattern : pre.patterns)
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  steps.push_back(byte_level(false, true, false));
  Json model = bpe_model(s, s.merges);
  model["ignore_merges"] = pre.ignore_merges;
  const bool add_bos = s.add_bos.value_or(pre.add_bos) && s.bos_id;
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(s)},
          {"normalizer", pre.nfc ? Json{{"type", "NFC"}} : Json(nullptr)},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}}},
          {"post_processor", add_bos ? bos_template(s) : byte_level(true, false, true)},
          {"decoder", byte_level(true, true, true)},
          {"model", std::move(model)}};
}

Json sentencepiece_tokenizer(const GgufTokenizerSource& s) {
  const bool prefix = s.add_space_prefix.value_or(true);
  const Json to_mark = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}};
  Json normalizers = Json::array();
  if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  normalizers.push_back(to_mark);
  Json decoders = Json::array({{{"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}},
                               {{"type", "ByteFallback"}},
                               {{"type", "Fuse"}}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  Json model = bpe_model(s, merges_by_score(s));
  model["byte_fallback"] = true;
  model["fuse_unk"] = true;
  if (s.unk_id && static_cast<size_t>(*s.unk_id) < s.tokens.size())
    model["unk_token"] = s.tokens[static_cast<size_t>(*s.unk_id)];
  const bool add_bos = s.add_bos.value_or(true) && s.bos_id;
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(s)},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", add_bos ? bos_template(s) : Json(nullptr)},
          {"decoder", {{"type", "Sequence"}, {"decoders", std::move(decoders)}}},
          {"model", std::move(model)}};
}

struct Kind {
  const char* model;
  Json (*make)(const GgufTokenizerSource&);
};
constexpr Kind kKinds[] = {{"gpt2", byte_level_tokenizer}, {"llama", sentencepiece_tokenizer}};

constexpr const char* kSamples[] = {"Hello, world!",
                                    "  two  spaces\n\nand 12345 numbers, it's 3.14\t!",
                                    "na\u00efve caf\u00e9 \u4f60\u597d \U0001F600",
                                    "x",
                                    "def f(x):\n    return x**2  # square\n",
                                    ""};

void check_same_ids(const Tokenizer& original, const Tokenizer& written, const std::string& file) {
  std::vector<std::string> texts(std::begin(kSamples), std::end(kSamples));
  if (const std::string eos = original.eos_token(); !eos.empty()) texts.push_back("a" + eos + " b");
  for (const std::string& text : texts)
    for (const bool special : {false, true})
      if (original.encode(text, special) != written.encode(text, special))
        throw Error(
            ErrorKind::internal,
            fmt::format("the tokenizer.json made from the GGUF file gives other ids for \"{}\"", text), file);
}

}  // namespace

Json merges_by_score(const GgufTokenizerSource& s) {
  struct Cut {
    float score;
    size_t token, at;
  };
  if (s.scores.size() != s.tokens.size())
    throw Error(ErrorKind::format, fmt::format("{} scores for {} tokens", s.scores.size(), s.tokens.size()),
                s.file + ", tokenizer.ggml.scores");
  constexpr size_t kLongest = 512;
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < s.tokens.size(); ++id) ids[s.tokens[id]] = id;
  std::vector<Cut> cuts;
  for (size_t id = 0; id < s.tokens.size(); ++id) {
    const std::string_view token = s.tokens[id];
    const int32_t type = type_of(s, id);
    if ((type != kNormal && type != kUserDefined) || token.size() > kLongest) continue;
    for (size_t at = 1; at < token.size(); ++at)
      if ((token[at] & 0xC0) != 0x80 && ids.contains(token.substr(0, at)) && ids.contains(token.substr(at)))
        cuts.push_back({s.scores[id], id, at});
  }
  std::stable_sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) { return a.score > b.score; });
  Json merges = Json::array();
  for (const Cut& c : cuts)
    merges.push_back(Json::array({s.tokens[c.token].substr(0, c.at), s.tokens[c.token].substr(c.at)}));
  return merges;
}

Json hf_tokenizer_json(const GgufTokenizerSource& s) {
  for (const Kind& k : kKinds)
    if (s.model == k.model) return k.make(s);
  throw Error(ErrorKind::unsupported,
              fmt::format("tokenizer model '{}' cannot be written as tokenizer.json", s.model),
              s.file + ", tokenizer.ggml.model", "supported: gpt2, llama");
}

Json hf_tokenizer_config(const GgufTokenizerSource& s, int64_t max_positions) {
  Json c = {{"tokenizer_class", "PreTrainedTokenizerFast"},
            {"clean_up_tokenization_spaces", false},
            {"model_max_length", max_positions}};
  const auto add = [&](const char* key, const std::optional<int32_t>& id) {
    if (id && *id >= 0 && static_cast<size_t>(*id) < s.tokens.size())
      c[key] = s.tokens[static_cast<size_t>(*id)];
  };
  add("bos_token", s.bos_id);
  add("eos_token", s.eos_id);
  add("pad_token", s.pad_id);
  add("unk_token", s.unk_id);
  if (s.chat_template) c["chat_template"] = *s.chat_template;
  return c;
}

void write_hf_tokenizer(const std::string& folder, const ModelFiles& gguf) {
  if (!gguf_has_tokenizer(GgufFile::open(gguf.path()))) return;
  const GgufTokenizerSource s = gguf.gguf_tokenizer();
  const auto in = [&](const char* name) { return (std::filesystem::path(folder) / name).string(); };
  write_file_atomic(in("tokenizer.json"),
                    s.huggingface_json ? *s.huggingface_json : to_text(hf_tokenizer_json(s), 2) + "\n");
  write_file_atomic(in("tokenizer_config.json"),
                    to_text(hf_tokenizer_config(s, gguf.spec().max_position_embeddings), 2) + "\n");
  if (s.chat_template) write_file_atomic(in("chat_template.jinja"), *s.chat_template);
  check_same_ids(gguf.tokenizer(), Tokenizer::from_folder(folder), gguf.path());
}

}  // namespace lorikeet
