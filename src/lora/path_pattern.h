#pragma once
#include <memory>
#include <string>

#include "lorikeet/error.h"

namespace lorikeet {

/// A regular expression over module paths, as Python's re understands it at the beginning of a path. Match
/// time is bounded, whatever the expression.
class PathPattern {
 public:
  /// What the match must cover: the whole path (re.fullmatch), any beginning of it (re.match), or a beginning
  /// that ends at a dot or at the end of the path.
  enum class Extent { whole, prefix, prefix_at_dot };

  /// `where` (a key or a file and its field) stands in errors of kind `kind`: for an expression that does not
  /// compile, and for one that takes too long on a path.
  PathPattern(const std::string& pattern, Extent extent, std::string where,
              ErrorKind kind = ErrorKind::usage);
  ~PathPattern();
  PathPattern(PathPattern&&) noexcept;

  bool operator()(const std::string& path) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace lorikeet
