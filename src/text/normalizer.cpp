#include "text/normalizer.h"

#include "text/split.h"
#include "text/unicode.h"
#include "text/unicode_forms.h"

namespace lorikeet::text {
namespace {

constexpr const char* kLowerOneEighthBlock = "\xe2\x96\x81";  // U+2581, SentencePiece's visible space

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<NormalizerPtr> steps) : steps_(std::move(steps)) {}
  void normalize(Pieces& pieces) const override {
    for (const NormalizerPtr& step : steps_) step->normalize(pieces);
  }

 private:
  std::vector<NormalizerPtr> steps_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix, bool first_only = false)
      : prefix_(std::move(prefix)), first_only_(first_only) {}
  void normalize(Pieces& pieces) const override {
    if (pieces.text.empty() || (first_only_ && !pieces.begins_text)) return;
    Rewriter writer(pieces);
    writer.replace(prefix_, 0, 0);
    writer.copy(0, pieces.text.size());
    writer.finish();
  }

 private:
  std::string prefix_;
  bool first_only_;
};

class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void normalize(Pieces& pieces) const override {
    std::string replaced;
    const bool use_replaced = pattern_.is_regex() && replace_unknown_characters(pieces.text, replaced);
    std::vector<Range> matches;
    pattern_.find_all(use_replaced ? replaced : pieces.text, {0, pieces.text.size()}, matches);
    if (matches.empty()) return;
    Rewriter writer(pieces);
    size_t at = 0;
    for (const Range& m : matches) {
      writer.copy(at, m.begin);
      writer.replace(content_, m.begin, m.end);
      at = m.end;
    }
    writer.copy(at, pieces.text.size());
    writer.finish();
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void normalize(Pieces& pieces) const override {
    size_t begin = 0, end = pieces.text.size();
    while (left_ && begin < end) {
      const CodePoint c = code_point_at(pieces.text, begin);
      if (!is_white_space(c.value)) break;
      begin += c.size;
    }
    while (right_ && begin < end) {
      const CodePoint c = code_point_before(pieces.text, end);
      if (!is_white_space(c.value)) break;
      end -= c.size;
    }
    Rewriter writer(pieces);
    writer.copy(begin, end);
    writer.finish();
  }

 private:
  bool left_, right_;
};

// Unicode normalization or lower-casing. Runs of ASCII stay (but for their case); what is not ASCII is
// converted together with the character before it, with which it may compose.
class Form : public Normalizer {
 public:
  explicit Form(std::string (*convert)(std::string_view)) : convert_(convert) {}
  void normalize(Pieces& pieces) const override {
    const std::string& text = pieces.text;
    const size_t first = next_beyond_ascii(text, 0);
    if (first == text.size() && convert_ != lower_case) return;
    Rewriter writer(pieces);
    for (size_t begin = 0; begin < text.size();) {
      const size_t beyond = next_beyond_ascii(text, begin);
      const size_t plain = beyond == text.size() || beyond == begin ? beyond : beyond - 1;
      if (convert_ == lower_case) {
        for (; begin < plain; ++begin) convert(writer, text, begin, begin + 1);
      }
      writer.copy(begin, plain);
      begin = plain;
      if (beyond == text.size()) break;
      size_t end = beyond;
      while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80) ++end;
      convert(writer, text, begin, end);
      begin = end;
    }
    writer.finish();
  }

 private:
  static size_t next_beyond_ascii(std::string_view s, size_t at) {
    while (at < s.size() && static_cast<unsigned char>(s[at]) < 0x80) ++at;
    return at;
  }
  void convert(Rewriter& writer, std::string_view text, size_t begin, size_t end) const {
    const std::string_view part = text.substr(begin, end - begin);
    if (const std::string changed = convert_(part); changed == part) {
      writer.copy(begin, end);
    } else {
      writer.replace(changed, begin, end);
    }
  }
  std::string (*convert_)(std::string_view);
};

NormalizerPtr make_sequence(const ComponentJson& json) {
  std::vector<NormalizerPtr> steps;
  for (const ComponentJson& step : json.array("normalizers")) steps.push_back(make_normalizer(step));
  return std::make_unique<Sequence>(std::move(steps));
}
NormalizerPtr make_prepend(const ComponentJson& json) {
  return std::make_unique<Prepend>(json.string("prepend"));
}
NormalizerPtr make_replace(const ComponentJson& json) {
  return std::make_unique<Replace>(Pattern(json), json.string("content"));
}
NormalizerPtr make_strip(const ComponentJson& json) {
  return std::make_unique<Strip>(json.boolean_or("strip_left", true), json.boolean_or("strip_right", true));
}
template <std::string (*Convert)(std::string_view)>
NormalizerPtr make_form(const ComponentJson&) {
  return std::make_unique<Form>(Convert);
}

constexpr ComponentMaker<NormalizerPtr> kNormalizers[] = {
    {"Lowercase", make_form<lower_case>},
    {"NFC", make_form<to_nfc>},
    {"NFD", make_form<to_nfd>},
    {"NFKC", make_form<to_nfkc>},
    {"NFKD", make_form<to_nfkd>},
    {"Prepend", make_prepend},
    {"Replace", make_replace},
    {"Sequence", make_sequence},
    {"Strip", make_strip},
};

}  // namespace

NormalizerPtr make_normalizer(const ComponentJson& json) {
  return make_component<NormalizerPtr>(json, "normalizer", kNormalizers);
}

NormalizerPtr make_llama_normalizer(SpacePrefix prefix) {
  std::vector<NormalizerPtr> steps;
  if (prefix != SpacePrefix::none)
    steps.push_back(std::make_unique<Prepend>(kLowerOneEighthBlock, prefix == SpacePrefix::first_stretch));
  steps.push_back(std::make_unique<Replace>(Pattern::literal(" "), kLowerOneEighthBlock));
  return std::make_unique<Sequence>(std::move(steps));
}

NormalizerPtr make_nfc() { return std::make_unique<Form>(to_nfc); }

}  // namespace lorikeet::text
