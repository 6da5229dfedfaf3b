#include "text/split.h"

#include "text/unicode.h"

namespace lorikeet::text {
namespace {

struct BehaviorName {
  const char* name;
  SplitBehavior behavior;
};
constexpr BehaviorName kBehaviors[] = {
    {"Removed", SplitBehavior::removed},
    {"Isolated", SplitBehavior::isolated},
    {"MergedWithPrevious", SplitBehavior::merged_with_previous},
    {"MergedWithNext", SplitBehavior::merged_with_next},
    {"Contiguous", SplitBehavior::contiguous},
};

struct Part {
  Range range;
  bool match;
};

// The parts of one piece become pieces; `parts` covers the piece without gaps.
void apply_behavior(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<Range>& out) {
  const size_t first = out.size();
  bool previous = false;
  switch (behavior) {
    case SplitBehavior::removed:
      for (const Part& p : parts) {
        if (!p.match) out.push_back(p.range);
      }
      return;
    case SplitBehavior::isolated:
      for (const Part& p : parts) out.push_back(p.range);
      return;
    case SplitBehavior::contiguous:
      for (const Part& p : parts) {
        if (p.match == previous && out.size() > first) {
          out.back().end = p.range.end;
        } else {
          out.push_back(p.range);
        }
        previous = p.match;
      }
      return;
    case SplitBehavior::merged_with_previous:
      for (const Part& p : parts) {
        if (p.match && !previous && out.size() > first) {
          out.back().end = p.range.end;
        } else {
          out.push_back(p.range);
        }
        previous = p.match;
      }
      return;
    case SplitBehavior::merged_with_next:
      for (size_t i = 0; i < parts.size(); ++i) {
        const bool next_is_text = i + 1 < parts.size() && !parts[i + 1].match;
        if (parts[i].match && next_is_text) {
          out.push_back({parts[i].range.begin, parts[i + 1].range.end});
          ++i;
        } else {
          out.push_back(parts[i].range);
        }
      }
      return;
  }
}

void add_part(std::vector<Part>& parts, size_t begin, size_t end, bool match) {
  if (begin < end) parts.push_back({{begin, end}, match});
}

}  // namespace

SplitBehavior split_behavior(const ComponentJson& json, const char* key, SplitBehavior fallback) {
  if (!json.has(key)) return fallback;
  const std::string name = json.string(key);
  for (const BehaviorName& b : kBehaviors) {
    if (name == b.name) return b.behavior;
  }
  throw Error(ErrorKind::unsupported, fmt::format("split behavior '{}' is not supported", name), json.where,
              "known are: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

Pattern::Pattern(const ComponentJson& json) {
  const ComponentJson p = json.object("pattern");
  if (p.has("String")) {
    literal_ = p.string("String");
  } else {
    regex_.emplace(p.string("Regex"), p.where);
  }
}

Pattern Pattern::literal(std::string text) {
  Pattern p;
  p.literal_ = std::move(text);
  return p;
}

Pattern Pattern::regex(const std::string& source, const std::string& where) {
  Pattern p;
  p.regex_.emplace(source, where);
  return p;
}

void Pattern::find_all(std::string_view text, Range range, std::vector<Range>& matches) const {
  if (regex_) return regex_->find_all(text, range, matches);
  if (literal_.empty()) return;
  text = text.substr(0, range.end);
  for (size_t at = text.find(literal_, range.begin); at != std::string_view::npos;
       at = text.find(literal_, at + literal_.size())) {
    matches.push_back({at, at + literal_.size()});
  }
}

void split_pieces(Pieces& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert) {
  std::string replaced;
  const bool use_replaced = pattern.is_regex() && replace_unknown_characters(pieces.text, replaced);
  const std::string_view text = use_replaced ? replaced : pieces.text;
  std::vector<Range> out, matches;
  std::vector<Part> parts;
  out.reserve(pieces.text.size() / 4 + 1);
  for (const Range& piece : pieces.pieces) {
    matches.clear();
    parts.clear();
    pattern.find_all(text, piece, matches);
    size_t at = piece.begin;
    for (const Range& m : matches) {
      add_part(parts, at, m.begin, invert);
      add_part(parts, m.begin, m.end, !invert);
      at = m.end;
    }
    add_part(parts, at, piece.end, invert);
    apply_behavior(parts, behavior, out);
  }
  pieces.pieces = std::move(out);
}

void split_pieces(Pieces& pieces, bool (*in_class)(uint32_t), SplitBehavior behavior) {
  std::vector<Range> out;
  std::vector<Part> parts;
  out.reserve(pieces.pieces.size());
  for (const Range& piece : pieces.pieces) {
    parts.clear();
    size_t text_begin = piece.begin;
    for (size_t at = piece.begin; at < piece.end;) {
      const CodePoint c = code_point_at(pieces.text, at);
      if (in_class(c.value)) {
        add_part(parts, text_begin, at, false);
        add_part(parts, at, at + c.size, true);
        text_begin = at + c.size;
      }
      at += c.size;
    }
    add_part(parts, text_begin, piece.end, false);
    apply_behavior(parts, behavior, out);
  }
  pieces.pieces = std::move(out);
}

}  // namespace lorikeet::text
