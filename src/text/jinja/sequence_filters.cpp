// Filters that go through a sequence.
#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/python_text.h"
#include "text/jinja/strings.h"

namespace lorikeet::jinja {
namespace {

// "a.b.0": look-ups one after the other.
Value dotted(Interpreter& in, Value v, const Value& path) {
  if (path.is_integer()) return in.item(v, path);
  const std::string names = to_str(in, path);
  for (const std::string_view part : split(names, ".", -1)) {
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    v = number && part.size() < 10 ? in.item(v, int64_t{std::stol(std::string(part))})
                                   : in.item(v, std::string(part));
  }
  return v;
}

// As jinja2 sorts: without regard to case unless told otherwise.
Value sort_key(const Value& v, bool case_sensitive) {
  return !case_sensitive && v.is_text() ? Value(lower(v.text())) : v;
}

Value length_filter(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "length", a);
  return length(in, v);
}

Value list(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "list", a);
  return make_sequence(in.iterate(v));
}

Value first(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "first", a);
  if (Generator* g = v.generator(); g && g->next < g->items.size()) return g->items[g->next++];
  const std::vector<Value> items = in.iterate(v);
  return items.empty() ? undefined("No first item, sequence was empty.") : items.front();
}

Value last(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "last", a);
  if (v.generator()) in.fail("'generator' object is not reversible");
  const std::vector<Value> items = in.iterate(v);
  return items.empty() ? undefined("No last item, sequence was empty.") : items.back();
}

Value reverse(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "reverse", a);
  if (v.generator()) in.fail("argument must be iterable");
  std::vector<Value> items = in.iterate(v);
  std::reverse(items.begin(), items.end());
  if (!v.is_text()) return make_generator(std::move(items));
  std::string out;
  for (const Value& c : items) out += c.text();
  return text_like(v, std::move(out));
}

Value join(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "join", a, {"d", "attribute"});
  const std::string between = b.has(0) ? to_str(in, b.required(0)) : "";
  std::string out;
  bool begun = false;
  for (const Value& item : in.iterate(v)) {
    if (begun) out += between;
    begun = true;
    out +=
        b.has(1) && !b.required(1).is_none() ? to_str(in, dotted(in, item, b.required(1))) : to_str(in, item);
    in.charge_text(between.size() + 16);
    if (out.size() > 4096) in.charge_text(out.size() / 64);
  }
  in.charge_text(out.size());
  return out;
}

Value items(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "items", a);
  if (v.is_undefined()) return make_generator({});
  if (!v.dict()) in.fail("Can only get item pairs from a mapping.");
  std::vector<Value> out;
  for (const auto& [key, value] : v.dict()->entries()) {
    in.charge(sizeof(Value) * 2);
    out.push_back(make_sequence({key, value}, Sequence::Kind::tuple));
  }
  return make_generator(std::move(out));
}

void sort_by(Interpreter& in, std::vector<std::pair<Value, Value>>& keyed, bool reversed) {
  const auto before = [&](const auto& x, const auto& y) { return less(in, x.first, y.first); };
  if (reversed) std::reverse(keyed.begin(), keyed.end());  // equal ones keep their order
  std::stable_sort(keyed.begin(), keyed.end(), before);
  if (reversed) std::reverse(keyed.begin(), keyed.end());
}

Value from_keyed(const std::vector<std::pair<Value, Value>>& keyed) {
  std::vector<Value> out;
  for (const auto& [key, value] : keyed) out.push_back(value);
  return make_sequence(std::move(out));
}

Value sort(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "sort", a, {"reverse", "case_sensitive", "attribute"});
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : in.iterate(v)) {
    std::vector<Value> keys;
    if (b.has(2) && !b.required(2).is_none()) {
      const std::string paths = to_str(in, b.required(2));
      for (const std::string_view path : split(paths, ",", -1)) {
        keys.push_back(sort_key(dotted(in, item, std::string(path)), b.flag(1, false)));
      }
    } else {
      keys.push_back(sort_key(item, b.flag(1, false)));
    }
    keyed.emplace_back(make_sequence(std::move(keys)), item);
  }
  sort_by(in, keyed, b.flag(0, false));
  return from_keyed(keyed);
}

Value dict_sort(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "dictsort", a, {"case_sensitive", "by", "reverse"});
  const std::string by = b.text(1).value_or("key");
  if (by != "key" && by != "value") in.fail("You can only sort by either \"key\" or \"value\"");
  in.defined(v);
  if (!v.dict()) in.fail(fmt::format("'{}' object has no attribute 'items'", type_name(v)));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : v.dict()->entries()) {
    keyed.emplace_back(sort_key(by == "key" ? key : value, b.flag(0, false)),
                       make_sequence({key, value}, Sequence::Kind::tuple));
  }
  sort_by(in, keyed, b.flag(2, false));
  return from_keyed(keyed);
}

Value unique(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "unique", a, {"case_sensitive", "attribute"});
  std::vector<Value> keys, out;
  for (const Value& item : in.iterate(v)) {
    Value key = b.has(1) && !b.required(1).is_none() ? dotted(in, item, b.required(1)) : item;
    key = sort_key(key, b.flag(0, false));
    const bool seen =
        std::any_of(keys.begin(), keys.end(), [&](const Value& k) { return equal(in, k, key); });
    if (seen) continue;
    keys.push_back(std::move(key));
    out.push_back(item);
  }
  return make_generator(std::move(out));
}

Value map(Interpreter& in, const Value& v, const Arguments& a) {
  std::vector<Value> out;
  if (!truth(v)) return make_generator({});  // none too, as in Jinja2
  if (a.positional.empty()) {
    const Bound b(in, "map", a, {"attribute", "default"});
    for (const Value& item : in.iterate(v)) {
      const Value found = dotted(in, item, b.required(0));
      out.push_back(found.is_undefined() && b.has(1) ? b.required(1) : found);
    }
    return make_generator(std::move(out));
  }
  Arguments rest{{a.positional.begin() + 1, a.positional.end()}, a.named};
  const std::string name = to_str(in, a.positional[0]);
  for (const Value& item : in.iterate(v)) out.push_back(in.filter(name, item, rest));
  return make_generator(std::move(out));
}

// select, reject and their attr forms: test names and arguments behind the attribute.
template <bool Attribute, bool Wanted>
Value select(Interpreter& in, const Value& v, const Arguments& a) {
  size_t next = Attribute ? 1 : 0;
  if (a.positional.size() < next) in.fail("Missing parameter for attribute name");
  std::string name;
  if (a.positional.size() > next) name = to_str(in, a.positional[next++]);
  const Arguments rest{{a.positional.begin() + static_cast<ptrdiff_t>(std::min(next, a.positional.size())),
                        a.positional.end()},
                       a.named};
  std::vector<Value> out;
  if (!truth(v)) return make_generator({});  // none too, as in Jinja2
  for (const Value& item : in.iterate(v)) {
    const Value subject = Attribute ? dotted(in, item, a.positional[0]) : item;
    const bool holds = name.empty() ? truth(subject) : in.test(name, subject, rest);
    if (holds == Wanted) out.push_back(item);
  }
  return make_generator(std::move(out));
}

Value sum(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "sum", a, {"attribute", "start"});
  Value total = b.or_else(1, int64_t{0});
  for (const Value& item : in.iterate(v)) {
    const bool by_attribute = b.has(0) && !b.required(0).is_none();
    total = binary(in, "+", total, by_attribute ? dotted(in, item, b.required(0)) : item);
  }
  return total;
}

template <bool Largest>
Value extreme(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, Largest ? "max" : "min", a, {"case_sensitive", "attribute"});
  const Value* best = nullptr;
  Value best_key;
  const std::vector<Value> all = in.iterate(v);
  for (const Value& item : all) {
    Value key = b.has(1) && !b.required(1).is_none() ? dotted(in, item, b.required(1)) : item;
    key = sort_key(key, b.flag(0, false));
    if (best && !(Largest ? less(in, best_key, key) : less(in, key, best_key))) continue;
    best = &item;
    best_key = std::move(key);
  }
  return best ? *best : undefined("No aggregated item, sequence was empty.");
}

Value batch(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "batch", a, {"linecount", "fill_with"});
  const int64_t count = b.integer(0, 0);
  if (count < 1) in.fail("linecount must be at least 1");
  std::vector<Value> out, row;
  for (const Value& item : in.iterate(v)) {
    if (static_cast<int64_t>(row.size()) == count) out.push_back(make_sequence(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (b.has(1) && !b.required(1).is_none()) {
      in.charge_text(static_cast<size_t>(count) * sizeof(Value));
      row.resize(static_cast<size_t>(count), b.required(1));
    }
    out.push_back(make_sequence(std::move(row)));
  }
  return make_generator(std::move(out));
}

Value group_by(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "groupby", a, {"attribute", "default", "case_sensitive"});
  std::vector<std::pair<Value, Value>> keyed;
  std::vector<std::pair<Value, std::vector<Value>>> groups;
  for (const Value& item : in.iterate(v)) {
    Value key = dotted(in, item, b.required(0));
    if (key.is_undefined() && b.has(1)) key = b.required(1);
    keyed.emplace_back(sort_key(key, b.flag(2, false)), item);
  }
  sort_by(in, keyed, false);
  for (auto& [key, item] : keyed) {
    if (groups.empty() || !equal(in, groups.back().first, key)) groups.push_back({key, {}});
    groups.back().second.push_back(item);
  }
  std::vector<Value> out;
  for (auto& [key, members] : groups) {
    const Value shown = dotted(in, members.front(), b.required(0));
    out.push_back(make_sequence({shown, make_sequence(std::move(members))}, Sequence::Kind::tuple));
  }
  return make_sequence(std::move(out));
}

constexpr Named<FilterFunction> kFilters[] = {
    {"batch", batch},
    {"count", length_filter},
    {"dictsort", dict_sort},
    {"first", first},
    {"groupby", group_by},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length_filter},
    {"list", list},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", select<false, false>},
    {"rejectattr", select<true, false>},
    {"reverse", reverse},
    {"select", select<false, true>},
    {"selectattr", select<true, true>},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) { return find_named(kFilters, name); }

}  // namespace lorikeet::jinja
