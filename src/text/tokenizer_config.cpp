// The files beside tokenizer.json: which tokens are BOS, EOS, ..., and the chat template.
#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "io/json.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_parts.h"

namespace lorikeet::text {
namespace {

constexpr const char* kConfigFile = "tokenizer_config.json";
constexpr size_t kMaxModelBytes = size_t{64} << 20;

struct SpecialKey {
  const char* token;  // in tokenizer_config.json and special_tokens_map.json
  const char* id;     // in config.json
  std::optional<int32_t> TokenizerParts::*member;
};
constexpr SpecialKey kSpecialKeys[] = {
    {"bos_token", "bos_token_id", &TokenizerParts::bos},
    {"eos_token", "eos_token_id", &TokenizerParts::eos},
    {"pad_token", "pad_token_id", &TokenizerParts::pad},
    {"unk_token", "unk_token_id", &TokenizerParts::unk},
};

Json read_object(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return Json::object();
  Json value = read_json_file(file.string());
  if (!value.is_object()) throw Error(ErrorKind::format, "expected a JSON object", file.string());
  return value;
}

// A token is written as its text or as an object that holds it.
std::optional<std::string> token_text(const Json& token) {
  if (token.is_string()) return token.get<std::string>();
  if (!token.is_object()) return std::nullopt;
  const auto content = token.find("content");
  if (content == token.end() || !content->is_string()) return std::nullopt;
  return content->get<std::string>();
}

std::optional<std::string> token_text(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? std::nullopt : token_text(*it);
}

bool flag(const Json& object, const char* key, bool missing = false) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() ? it->get<bool>() : missing;
}

// tokenizer_config.json may name added tokens that tokenizer.json lacks.
void add_missing_tokens(const Json& config, TokenizerParts& parts, const std::string& where) {
  const auto list = config.find("added_tokens_decoder");
  if (list == config.end() || !list->is_object()) return;
  for (const auto& [key, value] : list->items()) {
    const std::optional<std::string> content = token_text(value);
    if (!content || parts.added_ids.contains(*content)) continue;
    const bool digits =
        !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) throw Error(ErrorKind::format, fmt::format("'{}' is not a token id", key), where);
    AddedToken token;
    token.id = std::stoi(key);
    token.content = *content;
    token.special = flag(value, "special");
    token.single_word = flag(value, "single_word");
    token.lstrip = flag(value, "lstrip");
    token.rstrip = flag(value, "rstrip");
    token.normalized = flag(value, "normalized");
    parts.add_token(std::move(token), where);
  }
}

// Folders without tokenizer.json may list them as {"<pad>": 32000} as well.
void add_listed_tokens(const std::filesystem::path& file, const Json& special, TokenizerParts& parts) {
  const Json list = read_object(file);
  for (auto entry = list.begin(); entry != list.end(); ++entry) {
    AddedToken token;
    token.content = entry.key();
    if (parts.find(token.content)) continue;
    token.id = static_cast<int32_t>(std::clamp<int64_t>(
        json_int(*entry, fmt::format("{}, '{}'", file.string(), token.content)), -1, INT32_MAX));
    token.special = std::any_of(std::begin(kSpecialKeys), std::end(kSpecialKeys), [&](const auto& key) {
      return token_text(special, key.token) == token.content;
    });
    parts.add_token(std::move(token), file.string());
  }
}

std::optional<std::string> template_in(const Json& config, const std::string& where) {
  const auto it = config.find("chat_template");
  if (it == config.end() || it->is_null()) return std::nullopt;
  if (it->is_string()) return it->get<std::string>();
  if (it->is_array()) {
    for (const Json& named : *it) {
      if (!named.is_object()) continue;
      if (token_text(named, "name") == "default" && named.contains("template") &&
          named["template"].is_string()) {
        return named["template"].get<std::string>();
      }
    }
    return std::nullopt;
  }
  throw Error(ErrorKind::format, "\"chat_template\" must be a string or a list of named templates", where);
}

}  // namespace

void read_tokenizer_config(const std::filesystem::path& folder, bool with_sentencepiece,
                           TokenizerParts& parts) {
  const std::filesystem::path config_path = folder / kConfigFile;
  const Json config = read_object(config_path);
  const Json map = read_object(folder / "special_tokens_map.json");
  const Json model = read_object(folder / "config.json");
  add_missing_tokens(config, parts, config_path.string() + ", added_tokens_decoder");
  if (with_sentencepiece) add_listed_tokens(folder / "added_tokens.json", map, parts);
  for (const SpecialKey& key : kSpecialKeys) {
    std::optional<std::string> text = token_text(config, key.token);
    if (!text) text = token_text(map, key.token);
    if (text) {
      parts.*key.member = parts.find(*text);
      continue;
    }
    // eos_token_id may be a list: its first is the one that ends a text.
    const auto it = model.find(key.id);
    if (it == model.end()) continue;
    const Json& id = it->is_array() && !it->empty() ? (*it)[0] : *it;
    if (id.is_number_integer() && id >= 0 && id <= INT32_MAX) parts.*key.member = id.get<int32_t>();
  }
  if (parts.bos && flag(config, "add_bos_token", with_sentencepiece) &&
      (parts.surround.prefix.empty() || parts.surround.prefix[0] != *parts.bos)) {
    parts.surround.prefix.insert(parts.surround.prefix.begin(), *parts.bos);
  }
  if (parts.eos && flag(config, "add_eos_token") &&
      (parts.surround.suffix.empty() || parts.surround.suffix.back() != *parts.eos)) {
    parts.surround.suffix.push_back(*parts.eos);
  }
  const std::filesystem::path jinja = folder / "chat_template.jinja";
  parts.chat_template = std::filesystem::exists(jinja) ? read_text_file(jinja.string(), 4u << 20)
                                                       : template_in(config, config_path.string());
}

}  // namespace lorikeet::text

namespace lorikeet {

SentencePieceModel read_sentencepiece_folder(const std::filesystem::path& folder) {
  const std::string file = (folder / "tokenizer.model").string();
  SentencePieceModel model = read_sentencepiece_model(read_text_file(file, text::kMaxModelBytes), file);
  const Json config = text::read_object(folder / text::kConfigFile);
  model.prefix_every_stretch = text::flag(config, "legacy");
  if (!text::flag(config, "add_prefix_space", true)) model.vocabulary.add_space_prefix = false;
  return model;
}

}  // namespace lorikeet
