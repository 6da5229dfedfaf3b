#pragma once
// The flags of one command: rows of several tables bound to the objects they fill.
#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/help.h"
#include "config/key.h"
#include "lorikeet/config.h"

namespace lorikeet {

/// Goals: one reading of flags for all commands, errors that suggest the nearest flag, help from the same
/// rows. Non-goals: short flags, sub-commands (the command line splits them off first).
class Options {
 public:
  /// Binds every row of `table`, or only `names`, to `target`, which must outlive this object.
  template <class C>
  void add(C& target, std::span<const Key<C>> table, std::initializer_list<std::string_view> names = {}) {
    const C defaults{};
    for (const Key<C>& row : table) {
      if (names.size() != 0 && std::find(names.begin(), names.end(), row.info.name) == names.end()) continue;
      const auto set = row.set;
      bind(row.info, row.get(defaults), [set, &target](const KeyValue& value) { set(target, value); });
    }
  }

  /// Keys of a run; what the flags set is noted in `config.given`.
  void add_run_keys(RunConfig& config, std::initializer_list<std::string_view> names = {});

  /// Splits `arguments` into flags and positionals. Throws Error(usage) for an unknown flag (naming the
  /// nearest), a missing value or a flag given twice (lists add up). `command` stands in the suggestions.
  void parse(const std::vector<std::string>& arguments, std::string_view command);

  /// Converts and stores the values of the parsed flags called `names`, or of all. Later calls store again,
  /// so values from a file may be applied between two of them.
  void store(std::initializer_list<std::string_view> names = {});

  /// What help says of a key's default, where the command has one of its own.
  void show_default(std::string_view name, const std::string& text);

  bool given(std::string_view name) const { return values_.count(std::string(name)) != 0; }
  const std::vector<std::string>& positionals() const { return positionals_; }
  const std::vector<HelpRow>& help_rows() const { return help_; }

 private:
  struct Bound {
    KeyInfo info;
    KeyValue fallback;
    std::function<void(const KeyValue&)> set;
    RunConfig* run = nullptr;  ///< notes what is given
  };
  void bind(const KeyInfo& info, const KeyValue& fallback, std::function<void(const KeyValue&)> set);
  const Bound* find(std::string_view name) const;
  void take(const Bound& bound, const std::string& flag, std::string value);

  std::vector<Bound> bound_;
  std::vector<HelpRow> help_;
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positionals_;
};

}  // namespace lorikeet
