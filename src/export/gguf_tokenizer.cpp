#include "export/gguf_tokenizer.h"

#include <algorithm>
#include <filesystem>

#include "export/hf_tokenizer.h"
#include "model/gguf_family.h"
#include "text/tokenizer_parts.h"

namespace lorikeet {

namespace {

namespace fs = std::filesystem;
using namespace text;  // the kinds of tokens

constexpr size_t kMaxTokenizerBytes = size_t{256} << 20;

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::unsupported, what + " has no counterpart in GGUF", where,
              "write a Hugging Face folder (--format safetensors)");
}

bool is_type(const Json& component, const char* type) {
  return component.is_object() && component.value("type", "") == type;
}

bool is_true(const Json& object, const char* key, bool missing = false) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() ? it->get<bool>() : missing;
}

/// Null, {"type": "Sequence", key: [...]} or one component, as a list.
std::vector<Json> steps_of(const Json& component, const char* key) {
  if (component.is_null()) return {};
  if (!is_type(component, "Sequence")) return {component};
  return component.at(key).get<std::vector<Json>>();
}

/// The pre-tokenizer as regular expressions whose matches are cut out one after another.
std::vector<std::string> byte_level_patterns(const Json& json, const std::string& where) {
  std::vector<std::string> patterns;
  bool byte_level = false;
  for (const Json& step : steps_of(json, "pretokenizers")) {
    const bool isolated = step.value("behavior", "Isolated") == "Isolated" && !is_true(step, "invert");
    if (is_type(step, "Split") && isolated && step.at("pattern").contains("Regex")) {
      patterns.push_back(step["pattern"]["Regex"].get<std::string>());
    } else if (is_type(step, "Digits")) {
      patterns.emplace_back(is_true(step, "individual_digits") ? R"(\p{N})" : R"(\p{N}+)");
    } else if (is_type(step, "Punctuation") && step.value("behavior", "") == "Contiguous") {
      patterns.emplace_back(R"([\p{P}$+<=>^~|`]+)");
    } else if (is_type(step, "ByteLevel") && !is_true(step, "add_prefix_space", true)) {
      if (is_true(step, "use_regex", true)) patterns.emplace_back(kGpt2Pattern);
      byte_level = true;
    } else {
      refuse(fmt::format("the pre-tokenizer {}", step.dump()), where);
    }
  }
  if (!byte_level) refuse("a pre-tokenizer without ByteLevel", where);
  return patterns;
}

std::vector<std::string> merges_of(const Json& model) {
  std::vector<std::string> merges;
  for (const Json& m : model.at("merges"))
    merges.push_back(m.is_array() ? m.at(0).get<std::string>() + " " + m.at(1).get<std::string>()
                                  : m.get<std::string>());
  std::erase_if(merges, [](const std::string& m) { return m.starts_with("#version"); });
  return merges;
}

void fill_byte_level(const Json& json, const std::string& where, GgufTokenizerSource& s) {
  s.model = "gpt2";
  const std::vector<Json> normalizers = steps_of(json.value("normalizer", Json()), "normalizers");
  const bool nfc = normalizers.size() == 1 && is_type(normalizers[0], "NFC");
  if (!nfc && !normalizers.empty())
    refuse(fmt::format("the normalizer {}", json["normalizer"].dump()), where);
  const Json& model = json.at("model");
  s.pre = find_gguf_pre(byte_level_patterns(json.value("pre_tokenizer", Json()), where), nfc,
                        is_true(model, "ignore_merges"), where);
  s.merges = merges_of(model);
}

/// A list of merges says what scores say where all ways to make one token stand together: then the order of
/// the tokens is that of their scores.
void fill_sentencepiece(const Json& json, const Tokenizer& t, const std::string& where,
                        GgufTokenizerSource& s) {
  s.model = "llama";
  s.pre = "default";
  std::vector<std::string> order;  // what each merge gives
  for (std::string& m : merges_of(json.at("model"))) {
    m.erase(m.find(' ', 1), 1);
    order.push_back(std::move(m));
  }
  constexpr float kNever = -1e6f;  // below every merge
  s.scores.assign(s.tokens.size(), kNever);
  float next = 0;
  for (const std::string& token : order)
    if (float& score = s.scores[static_cast<size_t>(*t.token_to_id(token))]; score == kNever) score = next--;
  const Json again = merges_by_score(s);
  const bool same =
      again.size() == order.size() &&
      std::equal(order.begin(), order.end(), again.begin(), [](const auto& token, const Json& m) {
        return token == m[0].get<std::string>() + m[1].get<std::string>();
      });
  if (!same) refuse("a list of merges that is no order of tokens", where + ", model.merges");
  const std::vector<int32_t> ids = t.encode("a", false);
  s.add_space_prefix = !ids.empty() && t.id_to_token(ids[0]).value_or("").starts_with(kSpaceMark);
}

void fill_tokens(const Tokenizer& t, int64_t vocab_size, GgufTokenizerSource& s) {
  const bool bytes = s.model == "llama";
  for (int32_t id = 0; id < vocab_size; ++id) {
    const std::optional<std::string> token = t.id_to_token(id);
    s.tokens.push_back(token.value_or(fmt::format("[PAD{}]", id)));
    const bool added = t.parts().added.contains(id);
    s.token_types.push_back(!token                                                   ? kUnused
                            : bytes && t.unk_id() == id                              ? kUnknown
                            : t.is_special(id)                                       ? kControl
                            : added                                                  ? kUserDefined
                            : bytes && t.parts().decoder->fallback_byte(*token) >= 0 ? kByte
                                                                                     : kNormal);
  }
}

constexpr const char* kSamples[] = {"Hello, world!", "  two  spaces\n\nand 12345 numbers, it's 3.14\t!",
                                    "caf\u00e9 \u4f60\u597d \U0001F600", "def f(x):\n    return x**2\n"};

}  // namespace

GgufTokenizerSource gguf_tokenizer_of(const ModelFiles& folder) {
  GgufTokenizerSource s;
  if (!has_tokenizer(folder.path())) return s;
  const Tokenizer t = folder.tokenizer();
  const int64_t vocab_size = folder.spec().vocab_size;
  const fs::path json_file = fs::path(folder.path()) / "tokenizer.json";
  if (t.vocab_size() > vocab_size)
    refuse(fmt::format("a tokenizer of {} tokens beside a model of {}", t.vocab_size(), vocab_size),
           folder.path());
  if (fs::exists(json_file)) {
    const std::string where = json_file.string();
    JsonLimits limits;
    limits.max_bytes = kMaxTokenizerBytes;
    const Json json = read_json_file(where, limits);
    s.file = where;
    const bool sentencepiece = is_true(json.at("model"), "byte_fallback");
    s.model = sentencepiece ? "llama" : "gpt2";
    fill_tokens(t, vocab_size, s);
    if (sentencepiece)
      fill_sentencepiece(json, t, where, s);
    else
      fill_byte_level(json, where, s);
  } else {
    s = read_sentencepiece_folder(folder.path()).vocabulary;
    const std::vector<float> scores = s.scores;
    s.tokens.clear();
    s.token_types.clear();
    fill_tokens(t, vocab_size, s);
    s.scores = scores;
    s.scores.resize(s.tokens.size());
    // llama.cpp looks for them in the text as it came.
    for (size_t id = 0; id < s.tokens.size(); ++id)
      for (size_t at = 0; s.token_types[id] == kUserDefined &&
                          (at = s.tokens[id].find(kSpaceMark, at)) != std::string::npos;)
        s.tokens[id].replace(at, std::string_view(kSpaceMark).size(), " ");
  }
  const Surround& around = t.parts().surround;
  s.add_bos = around.prefix.size() == 1;
  s.add_eos = around.suffix.size() == 1;
  s.bos_id = *s.add_bos ? around.prefix[0] : t.bos_id();
  s.eos_id = *s.add_eos ? around.suffix[0] : t.eos_id();
  s.pad_id = t.pad_id();
  s.unk_id = t.unk_id();
  for (const int32_t id : folder.eos_token_ids())
    if (!s.eot_id && id != s.eos_id) s.eot_id = id;
  s.chat_template = t.chat_template();
  const Tokenizer written = Tokenizer::from_gguf(s);
  for (const char* sample : kSamples)
    if (written.encode(sample, true) != t.encode(sample, true))
      refuse(fmt::format("a tokenizer that encodes \"{}\" as this one", sample), s.file);
  return s;
}

void write_gguf_tokenizer(const GgufTokenizerSource& s, GgufWriter& file) {
  const std::string k = "tokenizer.ggml.";
  if (s.file.empty()) return file.add_string(k + "model", kGgufNoTokenizer);
  file.add_string(k + "model", s.model);
  if (!s.pre.empty()) file.add_string(k + "pre", s.pre);
  file.add_strings(k + "tokens", s.tokens);
  file.add_int32s(k + "token_type", s.token_types);
  if (!s.scores.empty()) file.add_float32s(k + "scores", s.scores);
  if (s.scores.empty()) file.add_strings(k + "merges", s.merges);
  for (const auto& [key, member] : gguf_tokenizer_ids())
    if (const auto& id = s.*member) file.add_uint32(k + key, static_cast<uint32_t>(*id));
  for (const auto& [key, member] : gguf_tokenizer_flags())
    if (const auto& flag = s.*member) file.add_bool(k + key, *flag);
  if (s.chat_template) file.add_string("tokenizer.chat_template", *s.chat_template);
}

}  // namespace lorikeet
