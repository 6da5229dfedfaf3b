// The functions that transformers puts at a template's disposal.
#include <fmt/core.h>

#include <ctime>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python_text.h"

namespace lorikeet::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;  // as in Jinja2's sandbox

class Function : public Callable {
 public:
  Function(std::string name, GlobalFunction function) : name_(std::move(name)), function_(function) {}
  Value call(Interpreter& in, const Arguments& arguments) const override { return function_(in, arguments); }
  std::string name() const override { return name_; }

 private:
  std::string name_;
  GlobalFunction function_;
};

Value raise_exception(Interpreter& in, const Arguments& a) {
  const Bound b(in, "raise_exception", a, {"message"});
  in.fail(to_str(in, b.required(0)));
}

Value strftime_now(Interpreter& in, const Arguments& a) {
  const Bound b(in, "strftime_now", a, {"format"});
  const std::string format = to_str(in, b.required(0));
  const std::time_t now = in.now() ? static_cast<std::time_t>(*in.now()) : std::time(nullptr);
  std::tm local{};
  if (in.now() ? !gmtime_r(&now, &local) : !localtime_r(&now, &local)) in.fail("the time cannot be shown");
  if (format.size() > 1000) in.fail("the time format is too long");
  std::string out(16384, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &local));
  return out;
}

Value range(Interpreter& in, const Arguments& a) {
  const Bound b(in, "range", a, {"start", "stop", "step"});
  const bool one = !b.has(1);
  in.defined(b.required(0));
  const int64_t start = one ? 0 : b.integer(0, 0), stop = one ? b.integer(0, 0) : b.integer(1, 0);
  const int64_t step = b.integer(2, 1);
  if (step == 0) in.fail("range() arg 3 must not be zero");
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) == kMaxRange) {
      in.fail(fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange));
    }
    in.charge(sizeof(Value));
    items.push_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return make_sequence(std::move(items), Sequence::Kind::range);
}

// dict(mapping or pairs, key=value, ...).
Dict dict_from(Interpreter& in, const Arguments& a) {
  Dict out;
  if (a.positional.size() > 1) in.fail("dict expected at most 1 argument");
  if (!a.positional.empty()) {
    const Value& source = a.positional[0];
    if (source.dict()) {
      out = *source.dict();
    } else {
      for (const Value& pair : in.iterate(source)) {
        const std::vector<Value> two = in.iterate(pair);
        if (two.size() != 2) in.fail("dictionary update sequence element must have length 2");
        out.set(two[0], two[1]);
      }
    }
    in.charge_text(out.size() * 2 * sizeof(Value));
  }
  for (const auto& [name, value] : a.named) out.set(name, value);
  return out;
}

Value dict(Interpreter& in, const Arguments& a) { return make_dict(dict_from(in, a)); }

Value make_namespace(Interpreter& in, const Arguments& a) {
  auto out = std::make_shared<Namespace>();
  const Dict members = dict_from(in, a);
  for (const auto& [key, value] : members.entries()) {
    if (!key.is_text()) in.fail("namespace members are named by texts");
    if (key.text().starts_with('_')) in.fail("a namespace member cannot begin with an underscore");
    out->members.emplace_back(key.text(), value);
  }
  in.keep(out);
  return out;
}

constexpr Named<GlobalFunction> kGlobals[] = {
    {"dict", dict},   {"namespace", make_namespace},  {"raise_exception", raise_exception},
    {"range", range}, {"strftime_now", strftime_now},
};

}  // namespace

std::optional<Value> find_global(const std::string& name) {
  const GlobalFunction f = find_named(kGlobals, name);
  if (!f) return std::nullopt;
  return Value(std::shared_ptr<const Callable>(std::make_shared<Function>(name, f)));
}

}  // namespace lorikeet::jinja
