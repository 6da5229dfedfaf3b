#include "text/post_processor.h"

namespace lorikeet::text {
namespace {

constexpr size_t kMaxAdded = 64;

Surround make_none(const ComponentJson&) { return {}; }

std::vector<int32_t> ids_of(const ComponentJson& special, const std::string& name) {
  const ComponentJson entry = special.object(name.c_str());
  std::vector<int32_t> out;
  const auto ids = entry.value.find("ids");
  if (ids == entry.value.end() || !ids->is_array() || ids->size() > kMaxAdded) {
    throw Error(ErrorKind::format, fmt::format("\"ids\" must be an array of at most {} ids", kMaxAdded),
                entry.where);
  }
  for (const auto& id : *ids) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX) {
      throw Error(ErrorKind::format, "an id must be a whole number from 0 to 2147483647", entry.where);
    }
    out.push_back(id.get<int32_t>());
  }
  return out;
}

Surround make_template(const ComponentJson& json) {
  Surround out;
  bool text_seen = false;
  for (const ComponentJson& part : json.array("single")) {
    if (part.has("Sequence")) {
      if (text_seen) {
        throw Error(ErrorKind::unsupported, "the template for one text holds a text twice", part.where);
      }
      text_seen = true;
      continue;
    }
    const std::vector<int32_t> ids =
        ids_of(json.object("special_tokens"), part.object("SpecialToken").string("id"));
    std::vector<int32_t>& side = text_seen ? out.suffix : out.prefix;
    side.insert(side.end(), ids.begin(), ids.end());
    if (side.size() > kMaxAdded) {
      throw Error(ErrorKind::format, fmt::format("the template adds more than {} tokens", kMaxAdded),
                  json.where);
    }
  }
  if (!text_seen) throw Error(ErrorKind::format, "the template for one text holds no text", json.where);
  return out;
}

// RoBERTa's and BERT's: "cls" in front, "sep" behind, each as [text, id].
Surround make_cls_sep(const ComponentJson& json) {
  const auto id = [&](const char* key) {
    const auto it = json.value.find(key);
    if (it == json.value.end() || !it->is_array() || it->size() != 2 || !(*it)[1].is_number_integer()) {
      throw Error(ErrorKind::format, fmt::format("\"{}\" must be [text, id]", key), json.where);
    }
    return (*it)[1].get<int32_t>();
  };
  return {{id("cls")}, {id("sep")}};
}

Surround make_sequence(const ComponentJson& json) {
  Surround out;
  for (const ComponentJson& step : json.array("processors")) {
    const Surround s = make_surround(step);
    out.prefix.insert(out.prefix.begin(), s.prefix.begin(), s.prefix.end());
    out.suffix.insert(out.suffix.end(), s.suffix.begin(), s.suffix.end());
  }
  return out;
}

constexpr ComponentMaker<Surround> kPostProcessors[] = {
    {"BertProcessing", make_cls_sep},      {"ByteLevel", make_none},
    {"RobertaProcessing", make_cls_sep},   {"Sequence", make_sequence},
    {"TemplateProcessing", make_template},
};

}  // namespace

Surround make_surround(const ComponentJson& json) {
  return make_component<Surround>(json, "post-processor", kPostProcessors);
}

}  // namespace lorikeet::text
