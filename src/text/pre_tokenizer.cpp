#include "text/pre_tokenizer.h"

#include "text/byte_alphabet.h"
#include "text/split.h"
#include "text/unicode.h"

namespace lorikeet::text {
namespace {

class Sequence : public PreTokenizer {
 public:
  explicit Sequence(std::vector<PreTokenizerPtr> steps) : steps_(std::move(steps)) {}
  void split(Pieces& pieces) const override {
    for (const PreTokenizerPtr& step : steps_) {
      if (pieces.raw_bytes) spell(pieces);
      step->split(pieces);
    }
  }

 private:
  static void spell(Pieces& pieces) {
    Rewriter writer(pieces);
    std::vector<Range> spelt;
    spelt.reserve(pieces.pieces.size());
    for (const Range& p : pieces.pieces) {
      const size_t begin = writer.size();
      for (size_t i = p.begin; i < p.end; ++i) {
        const auto byte = static_cast<unsigned char>(pieces.text[i]);
        writer.replace(to_utf8(byte_alphabet()[byte]), i, i + 1);
      }
      spelt.push_back({begin, writer.size()});
    }
    writer.finish();
    pieces.pieces = std::move(spelt);
    pieces.raw_bytes = false;
  }
  std::vector<PreTokenizerPtr> steps_;
};

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) pattern_.emplace(Pattern::regex(kGpt2, "ByteLevel"));
  }
  void split(Pieces& pieces) const override {
    if (add_prefix_space_) add_prefix_space(pieces);
    if (pattern_) split_pieces(pieces, *pattern_, SplitBehavior::isolated, false);
    pieces.raw_bytes = true;
  }

 private:
  static constexpr const char* kGpt2 =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  static void add_prefix_space(Pieces& pieces) {
    Rewriter writer(pieces);
    std::vector<Range> out;
    out.reserve(pieces.pieces.size());
    for (const Range& p : pieces.pieces) {
      const size_t begin = writer.size();
      if (pieces.text[p.begin] != ' ') writer.replace(" ", p.begin, p.begin);
      writer.copy(p.begin, p.end);
      out.push_back({begin, writer.size()});
    }
    writer.finish();
    pieces.pieces = std::move(out);
  }
  bool add_prefix_space_;
  std::optional<Pattern> pattern_;
};

class Split : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void split(Pieces& pieces) const override { split_pieces(pieces, pattern_, behavior_, invert_); }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class ClassSplit : public PreTokenizer {
 public:
  ClassSplit(bool (*in_class)(uint32_t), SplitBehavior behavior) : in_class_(in_class), behavior_(behavior) {}
  void split(Pieces& pieces) const override { split_pieces(pieces, in_class_, behavior_); }

 private:
  bool (*in_class_)(uint32_t);
  SplitBehavior behavior_;
};

// Spaces become a visible character (SentencePiece's U+2581), with which each word then begins.
class Metaspace : public PreTokenizer {
 public:
  enum class Prepend { never, first, always };
  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)),
        prepend_(prepend),
        split_(split),
        pattern_(Pattern::literal(replacement_)) {}
  void split(Pieces& pieces) const override {
    Rewriter writer(pieces);
    std::vector<Range> out;
    for (const Range& p : pieces.pieces) {
      const size_t begin = writer.size();
      const std::string_view text = pieces.view(p);
      const bool here =
          prepend_ == Prepend::always || (prepend_ == Prepend::first && pieces.begins_text && p.begin == 0);
      if (here && !text.starts_with(replacement_) && text[0] != ' ') {
        writer.replace(replacement_, p.begin, p.begin);
      }
      size_t kept = p.begin;
      for (size_t i = p.begin; i < p.end; ++i) {
        if (pieces.text[i] != ' ') continue;
        writer.copy(kept, i);
        writer.replace(replacement_, i, i + 1);
        kept = i + 1;
      }
      writer.copy(kept, p.end);
      out.push_back({begin, writer.size()});
    }
    writer.finish();
    pieces.pieces = std::move(out);
    if (split_) split_pieces(pieces, pattern_, SplitBehavior::merged_with_next, false);
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
  Pattern pattern_;
};

PreTokenizerPtr make_sequence(const ComponentJson& json) {
  std::vector<PreTokenizerPtr> steps;
  for (const ComponentJson& step : json.array("pretokenizers")) steps.push_back(make_pre_tokenizer(step));
  return make_pre_tokenizer_sequence(std::move(steps));
}

PreTokenizerPtr make_byte_level_from(const ComponentJson& json) {
  return make_byte_level(json.boolean_or("add_prefix_space", true), json.boolean_or("use_regex", true));
}

PreTokenizerPtr make_split(const ComponentJson& json) {
  return std::make_unique<Split>(Pattern(json), split_behavior(json, "behavior", SplitBehavior::isolated),
                                 json.boolean_or("invert", false));
}

PreTokenizerPtr make_digits_from(const ComponentJson& json) {
  return make_digits(json.boolean_or("individual_digits", false));
}

PreTokenizerPtr make_punctuation(const ComponentJson& json) {
  return std::make_unique<ClassSplit>(is_punctuation,
                                      split_behavior(json, "behavior", SplitBehavior::isolated));
}

PreTokenizerPtr make_whitespace(const ComponentJson& json) {
  return std::make_unique<Split>(Pattern::regex(R"(\w+|[^\w\s]+)", json.where), SplitBehavior::removed, true);
}

PreTokenizerPtr make_whitespace_split(const ComponentJson&) {
  return std::make_unique<ClassSplit>(is_white_space, SplitBehavior::removed);
}

PreTokenizerPtr make_char_delimiter_split(const ComponentJson& json) {
  return std::make_unique<Split>(Pattern::literal(json.string("delimiter")), SplitBehavior::removed, false);
}

PreTokenizerPtr make_metaspace(const ComponentJson& json) {
  const bool legacy_prefix = json.boolean_or("add_prefix_space", true);
  const std::string scheme = json.string_or("prepend_scheme", legacy_prefix ? "always" : "never");
  Metaspace::Prepend prepend = Metaspace::Prepend::always;
  if (scheme == "never") {
    prepend = Metaspace::Prepend::never;
  } else if (scheme == "first") {
    prepend = Metaspace::Prepend::first;
  } else if (scheme != "always") {
    throw Error(ErrorKind::unsupported, fmt::format("prepend_scheme '{}' is not supported", scheme),
                json.where, "known are: always, first, never");
  }
  return std::make_unique<Metaspace>(json.string_or("replacement", "\xe2\x96\x81"), prepend,
                                     json.boolean_or("split", true));
}

constexpr ComponentMaker<PreTokenizerPtr> kPreTokenizers[] = {
    {"ByteLevel", make_byte_level_from},
    {"CharDelimiterSplit", make_char_delimiter_split},
    {"Digits", make_digits_from},
    {"Metaspace", make_metaspace},
    {"Punctuation", make_punctuation},
    {"Sequence", make_sequence},
    {"Split", make_split},
    {"Whitespace", make_whitespace},
    {"WhitespaceSplit", make_whitespace_split},
};

}  // namespace

PreTokenizerPtr make_pre_tokenizer(const ComponentJson& json) {
  return make_component<PreTokenizerPtr>(json, "pre-tokenizer", kPreTokenizers);
}

PreTokenizerPtr make_pre_tokenizer_sequence(std::vector<PreTokenizerPtr> steps) {
  return std::make_unique<Sequence>(std::move(steps));
}

PreTokenizerPtr make_regex_split(const std::string& regex, const std::string& where) {
  return std::make_unique<Split>(Pattern::regex(regex, where), SplitBehavior::isolated, false);
}

PreTokenizerPtr make_digits(bool individual_digits) {
  return std::make_unique<ClassSplit>(
      is_numeric, individual_digits ? SplitBehavior::isolated : SplitBehavior::contiguous);
}

PreTokenizerPtr make_byte_level(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevel>(add_prefix_space, use_regex);
}

}  // namespace lorikeet::text
