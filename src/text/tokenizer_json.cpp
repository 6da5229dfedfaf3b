// Reads tokenizer.json, the file of the `tokenizers` library.
#include <simdjson.h>

#include "core/error.h"
#include "text/tokenizer_parts.h"

namespace lorikeet::text {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr size_t kMaxComponentBytes = 8u << 20;

struct Reader {
  std::string name;

  [[noreturn]] void broken(const std::string& message, const std::string& field) const {
    throw Error(ErrorKind::format, message, fmt::format("{}, {}", name, field));
  }
  [[noreturn]] void unsupported(const std::string& message, const std::string& field,
                                const std::string& fix) const {
    throw Error(ErrorKind::unsupported, message, fmt::format("{}, {}", name, field), fix);
  }

  // A member that is there and not null.
  static bool get(const object& from, std::string_view key, element& out) {
    return from.at_key(key).get(out) == simdjson::SUCCESS && !out.is_null();
  }
  bool boolean(const object& from, std::string_view key, const std::string& field) const {
    element e;
    if (!get(from, key, e)) return false;
    if (!e.is_bool()) broken(fmt::format("\"{}\" must be true or false", key), field);
    return e.get_bool().value_unsafe();
  }
  std::string string_or_empty(const object& from, std::string_view key, const std::string& field) const {
    element e;
    if (!get(from, key, e)) return {};
    if (!e.is_string()) broken(fmt::format("\"{}\" must be a string", key), field);
    return std::string(e.get_string().value_unsafe());
  }
  Json component(const element& e, const std::string& field) const {
    std::string text = simdjson::to_string(e);
    if (text.size() > kMaxComponentBytes) {
      broken(fmt::format("the part has {} bytes, more than {}", text.size(), kMaxComponentBytes), field);
    }
    return parse_json(text, fmt::format("{}, {}", name, field));
  }

  BpeOptions options(const object& model) const;
  Vocabulary vocabulary(const object& model) const;
  std::vector<Merge> merges(const object& model, const Vocabulary& vocabulary) const;
  void check_type(const object& model) const;
  void added_tokens(const object& root, TokenizerParts& parts) const;
};

void Reader::check_type(const object& model) const {
  std::string type = string_or_empty(model, "type", "model");
  element e;
  if (type.empty()) {  // old files leave it out
    if (get(model, "merges", e)) {
      type = "BPE";
    } else if (get(model, "vocab", e) && e.is_array()) {
      type = "Unigram";
    } else {
      type = get(model, "continuing_subword_prefix", e) ? "WordPiece" : "WordLevel";
    }
  }
  if (type != "BPE") {
    unsupported(fmt::format("tokenizer model '{}' is not supported", type), "model.type", "known are: BPE");
  }
}

BpeOptions Reader::options(const object& model) const {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const std::string text = string_or_empty(model, key, "model"); !text.empty()) {
      unsupported(fmt::format("{} '{}' is not supported", key, text), fmt::format("model.{}", key),
                  "only tokenizers without it are read");
    }
  }
  element dropout;
  double rate = 0;
  if (get(model, "dropout", dropout) && (dropout.get(rate) != simdjson::SUCCESS || rate != 0)) {
    unsupported("BPE dropout is not supported", "model.dropout", "set it to null");
  }
  BpeOptions out;
  out.ignore_merges = boolean(model, "ignore_merges", "model");
  out.byte_fallback = boolean(model, "byte_fallback", "model");
  out.fuse_unk = boolean(model, "fuse_unk", "model");
  out.unk_token = string_or_empty(model, "unk_token", "model");
  return out;
}

Vocabulary Reader::vocabulary(const object& model) const {
  element e;
  object entries;
  if (!get(model, "vocab", e) || e.get(entries) != simdjson::SUCCESS) {
    broken("the vocabulary must be an object of token and id", "model.vocab");
  }
  Vocabulary out;
  const size_t count = entries.size();
  out.reserve(count, count * 8);
  const std::string where = name + ", model.vocab";
  for (const auto& [token, value] : entries) {
    int64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS) {
      broken(fmt::format("the id of '{}' is not a whole number", token), "model.vocab");
    }
    out.add(token, id, where);
  }
  return out;
}

std::vector<Merge> Reader::merges(const object& model, const Vocabulary& vocabulary) const {
  element e;
  simdjson::dom::array list;
  if (!get(model, "merges", e) || e.get(list) != simdjson::SUCCESS) {
    broken("the merges must be an array", "model.merges");
  }
  std::vector<Merge> out;
  out.reserve(list.size());
  std::string joined;
  uint32_t rank = 0;
  for (const element merge : list) {
    std::string_view left, right;
    if (merge.is_string()) {
      const std::string_view line = merge.get_string().value_unsafe();
      if (line.starts_with("#version")) continue;
      const size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
        broken(fmt::format("the merge '{}' is not two tokens with one space between", line),
               fmt::format("model.merges[{}]", rank));
      }
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else {
      simdjson::dom::array pair;
      if (merge.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
          pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
        broken("a merge must be a string or a pair of strings", fmt::format("model.merges[{}]", rank));
      }
    }
    joined.assign(left);
    joined += right;
    const Merge m{vocabulary.find(left), vocabulary.find(right), vocabulary.find(joined), rank};
    if (m.left == Vocabulary::kMissing || m.right == Vocabulary::kMissing ||
        m.result == Vocabulary::kMissing) {
      const std::string_view missing = m.left == Vocabulary::kMissing    ? left
                                       : m.right == Vocabulary::kMissing ? right
                                                                         : std::string_view(joined);
      broken(fmt::format("the merge of '{}' and '{}' needs '{}', which is not in the vocabulary", left, right,
                         missing),
             fmt::format("model.merges[{}]", rank));
    }
    out.push_back(m);
    ++rank;
  }
  return out;
}

void Reader::added_tokens(const object& root, TokenizerParts& parts) const {
  element e;
  if (!get(root, "added_tokens", e)) return;
  simdjson::dom::array list;
  if (e.get(list) != simdjson::SUCCESS) broken("the added tokens must be an array", "added_tokens");
  size_t index = 0;
  for (const element entry : list) {
    const std::string field = fmt::format("added_tokens[{}]", index++);
    object o;
    int64_t id = 0;
    if (entry.get(o) != simdjson::SUCCESS || o.at_key("id").get(id) != simdjson::SUCCESS || id < 0 ||
        id >= Vocabulary::kMaxTokens) {
      broken(fmt::format("an added token needs an id in [0, {})", Vocabulary::kMaxTokens), field);
    }
    AddedToken token;
    token.id = static_cast<int32_t>(id);
    token.content = string_or_empty(o, "content", field);
    token.special = boolean(o, "special", field);
    token.single_word = boolean(o, "single_word", field);
    token.lstrip = boolean(o, "lstrip", field);
    token.rstrip = boolean(o, "rstrip", field);
    token.normalized = boolean(o, "normalized", field);
    parts.add_token(std::move(token), fmt::format("{}, {}", name, field));
  }
}

}  // namespace

TokenizerParts read_tokenizer_json(std::string_view json, const std::string& name) {
  const Reader read{name};
  simdjson::dom::parser parser;
  element document;
  object root, model;
  if (const auto error = parser.parse(simdjson::padded_string(json)).get(document)) {
    throw Error(ErrorKind::format, fmt::format("not valid JSON: {}", simdjson::error_message(error)), name);
  }
  element e;
  if (document.get(root) != simdjson::SUCCESS || !Reader::get(root, "model", e) ||
      e.get(model) != simdjson::SUCCESS) {
    throw Error(ErrorKind::format, "not a tokenizer file: there is no \"model\" object", name);
  }
  read.check_type(model);
  TokenizerParts parts;
  const auto component = [&](const char* key, auto make) {
    if (!Reader::get(root, key, e)) return;
    const Json value = read.component(e, key);
    make(ComponentJson{value, fmt::format("{}, {}", name, key)});
  };
  component("normalizer", [&](const ComponentJson& j) { parts.normalizer = make_normalizer(j); });
  component("pre_tokenizer", [&](const ComponentJson& j) { parts.pre_tokenizer = make_pre_tokenizer(j); });
  component("post_processor", [&](const ComponentJson& j) { parts.surround = make_surround(j); });
  component("decoder", [&](const ComponentJson& j) { parts.decoder = make_decoder(j); });
  BpeOptions options = read.options(model);
  Vocabulary vocabulary = read.vocabulary(model);
  const std::vector<Merge> merges = read.merges(model, vocabulary);
  parts.bpe = Bpe(std::move(vocabulary), merges, std::move(options));
  read.added_tokens(root, parts);
  return parts;
}

}  // namespace lorikeet::text
