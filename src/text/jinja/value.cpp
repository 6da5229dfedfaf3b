#include "text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace lorikeet::jinja {
namespace {

constexpr int kMaxDepth = 150;
constexpr size_t kIndexedDict = 8;

bool same_key(const Value& a, const Value& b) {
  if (a.is_text() && b.is_text()) return a.text() == b.text();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  return a.is_none() && b.is_none();
}

}  // namespace

int depth_around(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& v : items) depth = std::max(depth, v.depth());
  if (depth >= kMaxDepth) {
    throw Error(ErrorKind::resource, fmt::format("the template nests values more than {} deep", kMaxDepth));
  }
  return depth + 1;
}

int Value::depth() const {
  if (const Sequence* s = sequence()) return s->depth;
  if (const Dict* d = dict()) return d->depth;
  if (const Generator* g = generator()) return g->depth;
  if (const auto* c = get_if<std::shared_ptr<const Callable>>()) return (*c)->depth();
  if (const auto* loop = get_if<std::shared_ptr<const Loop>>()) return (*loop)->depth;
  return 0;
}

const Value* Dict::find(std::string_view key) const {
  if (entries_.size() > kIndexedDict) {
    const auto it = by_text_.find(std::string(key));
    return it == by_text_.end() ? nullptr : &entries_[it->second].second;
  }
  for (const auto& [k, v] : entries_) {
    if (k.is_text() && k.text() == key) return &v;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is_text()) return find(std::string_view(key.text()));
  for (const auto& [k, v] : entries_) {
    if (same_key(k, key)) return &v;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  depth = std::max(depth, value.depth() + 1);
  if (depth > kMaxDepth) {
    throw Error(ErrorKind::resource, fmt::format("the template nests values more than {} deep", kMaxDepth));
  }
  if (const Value* old = find(key)) {
    *const_cast<Value*>(old) = std::move(value);
    return;
  }
  if (key.is_text()) by_text_[key.text()] = entries_.size();
  entries_.emplace_back(std::move(key), std::move(value));
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : members) {
    if (key == name) return &value;
  }
  return nullptr;
}

Value undefined(std::string reason) {
  return Undefined{std::make_shared<const std::string>(std::move(reason))};
}

Value undefined_name(const std::string& name) { return undefined(fmt::format("'{}' is undefined", name)); }

Value markup(std::string text) { return Text{std::make_shared<const std::string>(std::move(text)), true}; }

Value text_like(const Value& model, std::string text) {
  return Text{std::make_shared<const std::string>(std::move(text)), model.is_markup()};
}

Value make_sequence(std::vector<Value> items, Sequence::Kind kind) {
  auto s = std::make_shared<Sequence>();
  s->depth = depth_around(items);
  s->kind = kind;
  s->items = std::move(items);
  return std::shared_ptr<const Sequence>(std::move(s));
}

Value make_generator(std::vector<Value> items) {
  auto g = std::make_shared<Generator>();
  g->depth = depth_around(items);
  g->items = std::move(items);
  return g;
}

Value make_dict(Dict dict) { return std::shared_ptr<const Dict>(std::make_shared<Dict>(std::move(dict))); }

Value from_json(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<int64_t>();
    case Json::value_t::number_unsigned: {
      const auto v = json.get<uint64_t>();
      if (v <= INT64_MAX) return static_cast<int64_t>(v);
      throw Error(ErrorKind::unsupported, fmt::format("the whole number {} has more than 63 bits", v),
                  "template variables");
    }
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return json.get<std::string>();
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(item));
      return make_sequence(std::move(items));
    }
    case Json::value_t::object: {
      Dict dict;
      for (const auto& [key, value] : json.items()) dict.set(key, from_json(value));
      return make_dict(std::move(dict));
    }
    default:
      return None{};
  }
}

bool truth(const Value& v) {
  if (v.is_undefined() || v.is_none()) return false;
  if (v.is<bool>()) return v.get<bool>();
  if (v.is<int64_t>()) return v.get<int64_t>() != 0;
  if (v.is<double>()) return v.get<double>() != 0;
  if (v.is_text()) return !v.text().empty();
  if (const Sequence* s = v.sequence()) return !s->items.empty();
  if (const Dict* d = v.dict()) return d->size() != 0;
  return true;
}

std::string type_name(const Value& v) {
  if (v.is_undefined()) return "Undefined";
  if (v.is_none()) return "NoneType";
  if (v.is<bool>()) return "bool";
  if (v.is<int64_t>()) return "int";
  if (v.is<double>()) return "float";
  if (v.is_text()) return v.is_markup() ? "Markup" : "str";
  if (v.dict()) return "dict";
  if (v.generator()) return "generator";
  if (const Sequence* s = v.sequence()) {
    switch (s->kind) {
      case Sequence::Kind::list:
        return "list";
      case Sequence::Kind::tuple:
        return "tuple";
      case Sequence::Kind::items:
        return "dict_items";
      case Sequence::Kind::keys:
        return "dict_keys";
      case Sequence::Kind::values:
        return "dict_values";
      case Sequence::Kind::range:
        return "range";
    }
  }
  if (v.is<std::shared_ptr<Namespace>>()) return "Namespace";
  if (v.is<std::shared_ptr<const Loop>>()) return "LoopContext";
  return "function";
}

}  // namespace lorikeet::jinja
