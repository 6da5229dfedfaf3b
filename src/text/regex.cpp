#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "core/error.h"
#include "text/unicode.h"

namespace lorikeet::text {
namespace {

constexpr size_t kMaxPatternBytes = 64u << 10;

// PCRE2's \w lacks the marks and connectors that the official engine counts as word characters.
std::string with_official_word_class(const std::string& pattern, const std::string& where) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      if (next == 'w') {
        const char* members = "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}";
        out += in_class ? members : std::string("[") + members + "]";
      } else if (next == 'W' || next == 'b' || next == 'B' || next == 'G' || next == 'K' || next == 'y' ||
                 next == 'Y' || next == 'X' || next == 'h' || next == 'H' || next == 'R' || next == 'N') {
        throw Error(ErrorKind::unsupported, fmt::format("the regular expression uses '\\{}'", next), where,
                    "its meaning differs between regular-expression engines; no known tokenizer uses it");
      } else {
        out += c;
        out += next;
      }
      continue;
    }
    if (c == '[') {
      if (in_class && i + 1 < pattern.size() && pattern[i + 1] != ':') {
        throw Error(ErrorKind::unsupported, "the regular expression nests character classes", where,
                    "write the class without inner brackets");
      }
      in_class = true;
    } else if (c == ']') {
      in_class = false;
    } else if (c == '&' && in_class && i + 1 < pattern.size() && pattern[i + 1] == '&') {
      throw Error(ErrorKind::unsupported, "the regular expression intersects character classes", where,
                  "write the class without &&");
    }
    out += c;
  }
  return out;
}

struct MatchData {
  pcre2_match_data* data = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;
  MatchData() {
    data = pcre2_match_data_create(1, nullptr);
    context = pcre2_match_context_create(nullptr);
    stack = pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr);
    if (!data || !context) throw Error(ErrorKind::resource, "no memory for a regular-expression match");
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchData() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  MatchData(const MatchData&) = delete;
  MatchData& operator=(const MatchData&) = delete;
};

}  // namespace

struct Regex::Compiled {
  pcre2_code* code = nullptr;
  bool jit = false;
  std::string where;
  ~Compiled() { pcre2_code_free(code); }
};

Regex::Regex(const std::string& pattern, const std::string& where) : compiled_(std::make_unique<Compiled>()) {
  if (pattern.size() > kMaxPatternBytes) {
    throw Error(
        ErrorKind::format,
        fmt::format("the regular expression has {} bytes, more than {}", pattern.size(), kMaxPatternBytes),
        where);
  }
  const std::string source = with_official_word_class(pattern, where);
  int code = 0;
  PCRE2_SIZE at = 0;
  compiled_->where = where;
  // Multiline, since ^ and $ match at every line in the official engine.
  compiled_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, nullptr);
  if (!compiled_->code) {
    PCRE2_UCHAR reason[256] = {};
    pcre2_get_error_message(code, reason, sizeof reason);
    throw Error(
        ErrorKind::format,
        fmt::format("the regular expression is broken at byte {}: {}", at, reinterpret_cast<char*>(reason)),
        where);
  }
  compiled_->jit = pcre2_jit_compile(compiled_->code, PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

void Regex::find_all(std::string_view text, Range range, std::vector<Range>& matches) const {
  thread_local MatchData match;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data()) + range.begin;
  const size_t size = range.end - range.begin;
  // A sane pattern backtracks a few times per byte; the limit stops patterns that would never end.
  pcre2_set_match_limit(match.context,
                        static_cast<uint32_t>(std::min<size_t>(10'000'000 + 64 * size, UINT32_MAX)));
  size_t at = 0;
  while (at < size) {
    int found = compiled_->jit ? pcre2_jit_match(compiled_->code, subject, size, at, PCRE2_NO_UTF_CHECK,
                                                 match.data, match.context)
                               : PCRE2_ERROR_JIT_STACKLIMIT;
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      found = pcre2_match(compiled_->code, subject, size, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match.data,
                          match.context);
    }
    if (found == PCRE2_ERROR_NOMATCH) return;
    if (found < 0) {
      PCRE2_UCHAR reason[256] = {};
      pcre2_get_error_message(found, reason, sizeof reason);
      throw Error(ErrorKind::resource,
                  fmt::format("the regular expression failed on a text of {} bytes: {}", size,
                              reinterpret_cast<char*>(reason)),
                  compiled_->where);
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.data);
    if (ends[1] > ends[0]) {
      matches.push_back({range.begin + ends[0], range.begin + ends[1]});
      at = ends[1];
    } else {
      // An empty match splits nothing: look on from the next character.
      at = ends[1] + (ends[1] < size ? code_point_at(text, range.begin + ends[1]).size : 1);
    }
  }
}

bool replace_unknown_characters(std::string_view text, std::string& out) {
  bool copied = false;
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0xe0) {  // one- and two-byte characters are all old
      ++at;
      continue;
    }
    const CodePoint c = code_point_at(text, at);
    if (const uint32_t other = classed_alike(c.value); other != c.value) {
      if (!copied) out.assign(text);
      copied = true;
      out.replace(at, c.size, to_utf8(other));
    }
    at += c.size;
  }
  return copied;
}

}  // namespace lorikeet::text
