#include "lora/path_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/error.h"

namespace lorikeet {

struct PathPattern::Compiled {
  std::string pattern, where;
  ErrorKind kind;
  pcre2_code* code = nullptr;
  pcre2_match_data* match = nullptr;
  pcre2_match_context* limits = nullptr;
  ~Compiled() {
    pcre2_match_context_free(limits);
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
};

PathPattern::PathPattern(const std::string& pattern, Extent extent, std::string where, ErrorKind kind)
    : compiled_(std::make_unique<Compiled>()) {
  compiled_->pattern = pattern;
  compiled_->where = std::move(where);
  compiled_->kind = kind;
  const char* end = extent == Extent::whole    ? "\\z"
                    : extent == Extent::prefix ? ""
                                               : "(?:(?<=\\.)|(?=\\.|\\z))";
  const std::string source = "(?:" + pattern + ")" + end;
  int error = 0;
  size_t offset = 0;
  compiled_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(), PCRE2_ANCHORED,
                                  &error, &offset, nullptr);
  if (!compiled_->code) {
    unsigned char text[256];
    pcre2_get_error_message(error, text, sizeof text);
    throw Error(
        compiled_->kind,
        fmt::format("\"{}\" is no valid regular expression: {}", pattern, reinterpret_cast<char*>(text)),
        compiled_->where);
  }
  compiled_->match = pcre2_match_data_create_from_pattern(compiled_->code, nullptr);
  compiled_->limits = pcre2_match_context_create(nullptr);
  if (!compiled_->match || !compiled_->limits)
    throw Error(ErrorKind::resource, "no memory for a regular expression", compiled_->where);
  pcre2_set_match_limit(compiled_->limits, 100000);
}

PathPattern::~PathPattern() = default;
PathPattern::PathPattern(PathPattern&&) noexcept = default;

bool PathPattern::operator()(const std::string& path) const {
  const int found = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(path.data()), path.size(), 0, 0,
                                compiled_->match, compiled_->limits);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH)
    throw Error(
        compiled_->kind,
        fmt::format("the regular expression \"{}\" takes too long on \"{}\"", compiled_->pattern, path),
        compiled_->where, "use a simpler expression or a list of names");
  return found >= 0;
}

}  // namespace lorikeet
