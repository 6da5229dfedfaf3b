#include "lora/targets.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "core/error.h"
#include "lora/path_pattern.h"

namespace lorikeet {

namespace {

/// A list of names, an expression, or everything.
class Selection {
 public:
  Selection(const ModuleSelection& s, const char* key) {
    if (const auto* names = std::get_if<std::vector<std::string>>(&s)) {
      for (const std::string& n : *names) {
        if (n == "all-linear")
          all_ = true;
        else
          names_.push_back(n);
      }
    } else if (std::get<std::string>(s) == "all-linear") {
      all_ = true;
    } else {
      expression_.emplace(std::get<std::string>(s), PathPattern::Extent::whole, key);
    }
  }
  /// `linear`: one of those that all-linear means.
  bool operator()(const std::string& path, bool linear) {
    if (all_ && linear) return true;
    if (expression_) return (*expression_)(path);
    bool found = false;
    for (const std::string& n : names_)
      if (matches_suffix(path, n)) {
        hit_.insert(n);
        found = true;
      }
    return found;
  }
  std::string first_unused() const {
    for (const std::string& n : names_)
      if (!hit_.contains(n)) return n;
    return {};
  }

 private:
  bool all_ = false;
  std::vector<std::string> names_;
  std::optional<PathPattern> expression_;
  std::set<std::string> hit_;
};

/// The number of the first path segment that is one, e.g. 3 of "model.layers.3.mlp.up_proj"; -1 if there is
/// none.
int64_t layer_number(const std::string& path) {
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('.', at), path.size());
    const std::string segment = path.substr(at, end - at);
    if (!segment.empty() && segment.size() < 10 &&
        segment.find_first_not_of("0123456789") == std::string::npos)
      return std::stoll(segment);
    at = end + 1;
  }
  return -1;
}

/// rank_pattern or alpha_pattern: keys are expressions anchored at the end, after any prefix that ends in a
/// dot.
template <class T>
class Pattern {
 public:
  Pattern(const std::map<std::string, T>& entries, const char* key) : key_(key) {
    for (const auto& [name, value] : entries)
      entries_.push_back(
          {name, PathPattern("(.*\\.)?(?:" + name + ")", PathPattern::Extent::whole, key), value});
  }
  T of(const std::string& path, T fallback) const {
    const Entry* hit = nullptr;
    for (const Entry& e : entries_) {
      if (!e.match(path)) continue;
      if (hit && hit->value != e.value)
        throw Error(
            ErrorKind::usage,
            fmt::format("\"{}\" ({}) and \"{}\" ({}) both match module \"{}\"", hit->name, hit->value, e.name,
                        e.value, path),
            key_,
            "make the patterns exclude each other: PEFT sorts them, so their order would change meaning");
      hit = &e;
    }
    return hit ? hit->value : fallback;
  }

 private:
  struct Entry {
    std::string name;
    PathPattern match;
    T value;
  };
  const char* key_;
  std::vector<Entry> entries_;
};

std::string last_segment(const std::string& path) { return path.substr(path.find_last_of('.') + 1); }

std::string known_names(const std::vector<std::string>& paths) {
  std::set<std::string> names;
  for (const std::string& p : paths) names.insert(last_segment(p));
  std::string text;
  for (const std::string& n : names) text += (text.empty() ? "" : ", ") + n;
  return text;
}

}  // namespace

bool matches_suffix(const std::string& path, const std::string& entry) {
  if (path == entry) return true;
  return path.size() > entry.size() && path.compare(path.size() - entry.size(), entry.size(), entry) == 0 &&
         path[path.size() - entry.size() - 1] == '.';
}

std::string first_named(const std::vector<std::string>& paths, const ModuleSelection& targets) {
  Selection wanted(targets, "lora_target_modules");
  const auto it =
      std::find_if(paths.begin(), paths.end(), [&](const std::string& p) { return wanted(p, true); });
  return it == paths.end() ? std::string() : *it;
}

std::vector<Target> select_targets(const std::vector<std::string>& paths, const TargetOptions& o,
                                   const std::vector<std::string>& beside) {
  Selection wanted(o.targets, "lora_target_modules");
  std::optional<Selection> excluded;
  if (o.exclude) excluded.emplace(*o.exclude, "lora_exclude_modules");
  const Pattern<int64_t> ranks(o.rank_pattern, "rank_pattern");
  const Pattern<double> alphas(o.alpha_pattern, "alpha_pattern");
  const std::set<int64_t> layers(o.layers_to_transform.begin(), o.layers_to_transform.end());

  std::vector<Target> targets;
  const auto add = [&](const std::string& path, bool linear) {
    if (excluded && (*excluded)(path, linear)) return;
    if (!wanted(path, linear)) return;
    if (!layers.empty() && !layers.contains(layer_number(path))) return;
    Target t{path, ranks.of(path, o.r), alphas.of(path, o.alpha), 0};
    const auto r = static_cast<double>(t.r);
    t.scale = t.alpha / (o.use_rslora ? std::sqrt(r) : r);
    targets.push_back(std::move(t));
  };
  for (const std::string& path : paths) add(path, true);
  for (const std::string& path : beside) add(path, false);
  if (const std::string name = wanted.first_unused(); !name.empty())
    throw Error(ErrorKind::usage,
                fmt::format("target module \"{}\" matches no linear layer of this model", name),
                "lora_target_modules", "its linear layers are: " + known_names(paths));
  if (targets.empty())
    throw Error(ErrorKind::usage, "no module gets an adapter", "lora_target_modules",
                "the linear layers of this model are: " + known_names(paths));
  return targets;
}

}  // namespace lorikeet
