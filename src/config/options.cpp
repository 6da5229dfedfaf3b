#include "config/options.h"

#include "config/key_value.h"
#include "config/nearest.h"
#include "config/run_keys.h"
#include "core/error.h"

namespace lorikeet {
namespace {

std::string key_of(std::string_view flag) {
  std::string key(flag.substr(2));
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

/// May this word be the value of a flag that can also stand alone?
bool is_value_word(const KeyInfo& info, const std::string& word) {
  if (info.type == KeyType::boolean) {
    static const char* const words[] = {"true", "false", "yes", "no", "on", "off", "True", "False"};
    return std::find(std::begin(words), std::end(words), word) != std::end(words);
  }
  return std::any_of(info.choices.begin(), info.choices.end(),
                     [&](const Choice& c) { return c.name == word; });
}

bool adds_up(KeyType type) { return type == KeyType::text_list || type == KeyType::integer_list; }

}  // namespace

void Options::bind(const KeyInfo& info, const KeyValue& fallback, std::function<void(const KeyValue&)> set) {
  bound_.push_back({info, fallback, std::move(set)});
  help_.push_back(help_row(info, fallback));
}

void Options::add_run_keys(RunConfig& config, std::initializer_list<std::string_view> names) {
  const size_t before = bound_.size();
  add(config, run_keys(), names);
  for (size_t i = before; i < bound_.size(); ++i) bound_[i].run = &config;
}

void Options::show_default(std::string_view name, const std::string& text) {
  for (HelpRow& row : help_) {
    if (row.info.name != name) continue;
    row.info.required = false;
    row.default_text = text;
  }
}

const Options::Bound* Options::find(std::string_view name) const {
  for (const Bound& bound : bound_)
    if (bound.info.name == name) return &bound;
  return nullptr;
}

void Options::take(const Bound& bound, const std::string& flag, std::string value) {
  std::vector<std::string>& values = values_[std::string(bound.info.name)];
  if (!values.empty() && !adds_up(bound.info.type))
    throw Error(ErrorKind::usage,
                fmt::format("{} is given twice: \"{}\" and \"{}\"", flag, values.back(), value), flag,
                "leave one out");
  values.push_back(std::move(value));
}

void Options::parse(const std::vector<std::string>& arguments, std::string_view command) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      positionals_.insert(positionals_.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                          arguments.end());
      return;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      positionals_.push_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string flag = argument == "-h" ? "--help" : argument.substr(0, equals);
    const Bound* bound = flag.size() > 2 && flag[1] == '-' ? find(key_of(flag)) : nullptr;
    if (!bound) {
      std::vector<std::string> flags;
      for (const Bound& known : bound_) flags.push_back(flag_of(known.info.name));
      throw Error(ErrorKind::usage, fmt::format("unknown option \"{}\"", flag),
                  fmt::format("lorikeet {}", command),
                  did_you_mean(flag, flags, fmt::format("see lorikeet {} --help", command)));
    }
    if (equals != std::string::npos) {
      take(*bound, flag, argument.substr(equals + 1));
      continue;
    }
    const bool more = i + 1 < arguments.size();
    if (!bound->info.bare_value.empty()) {
      const bool value = more && is_value_word(bound->info, arguments[i + 1]);
      take(*bound, flag, value ? arguments[++i] : std::string(bound->info.bare_value));
      continue;
    }
    // "-1" is a value, "--other" is the next flag; a text that starts with two dashes is written
    // --flag=--text.
    if (!more || (arguments[i + 1].rfind("--", 0) == 0 && arguments[i + 1].size() > 2))
      throw Error(ErrorKind::usage, fmt::format("{} needs a value", flag),
                  fmt::format("lorikeet {}", command),
                  fmt::format("{} takes {}", bound->info.name, allowed_text(bound->info)));
    take(*bound, flag, arguments[++i]);
  }
}

void Options::store(std::initializer_list<std::string_view> names) {
  for (const auto& [name, values] : values_) {
    if (names.size() != 0 && std::find(names.begin(), names.end(), name) == names.end()) continue;
    const Bound& bound = *find(name);
    const std::string where = flag_of(name);
    RawValue raw = raw_from_flag(bound.info, values.front(), where);
    for (size_t i = 1; i < values.size(); ++i) {
      const RawValue next = raw_from_flag(bound.info, values[i], where);
      raw.items.insert(raw.items.end(), next.items.begin(), next.items.end());
    }
    const KeyValue value = convert(bound.info, raw, where);
    check(bound.info, value, bound.fallback, where);
    bound.set(value);
    if (bound.run) bound.run->given[name] = where;
  }
}

}  // namespace lorikeet
