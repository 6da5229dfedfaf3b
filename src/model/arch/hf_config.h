#pragma once
#include <set>
#include <string>

#include "io/json.h"
#include "model/spec.h"

namespace lorikeet {

/// Typed access to a config.json. Every field that a family reads is noted, so that what nobody read and
/// nobody knows to be harmless is refused instead of ignored.
class HfConfig {
 public:
  /// `where` names the file in errors.
  HfConfig(Json json, std::string where);

  bool has(const std::string& key) const;  ///< present and not null
  int64_t integer(const std::string& key) const;
  int64_t integer_or(const std::string& key, int64_t fallback) const;
  double number(const std::string& key) const;
  double number_or(const std::string& key, double fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;
  std::string string_or(const std::string& key, const std::string& fallback) const;
  /// A nested object (rope_scaling), or an empty one.
  Json object(const std::string& key) const;
  /// Refuses any value but the expected one: a choice that the code does not make. Null passes.
  void expect(const std::string& key, const Json& only) const;
  /// The numbers of a list; empty if the field is missing.
  std::vector<double> numbers(const std::string& key) const;
  std::vector<std::string> strings(const std::string& key) const;
  /// Refuses the first field that says something (not null, false, 0 or empty), that nobody read and that is
  /// not known to leave the numbers alone. Throws Error(unsupported) naming field and value.
  void refuse_unread() const;

  std::string architecture() const;
  const Json& json() const { return json_; }
  const std::string& where() const { return where_; }
  std::string field(const std::string& key) const;

 private:
  const Json* find(const std::string& key) const;
  const Json* array(const std::string& key) const;
  Json json_;
  mutable std::set<std::string> read_;
  std::string where_;
};

}  // namespace lorikeet
