#include "text/decoder.h"

#include "text/byte_alphabet.h"
#include "text/split.h"
#include "text/unicode.h"

namespace lorikeet::text {
namespace {

constexpr const char* kLowerOneEighthBlock = "\xe2\x96\x81";
constexpr const char* kReplacementCharacter = "\xef\xbf\xbd";

void join(std::vector<std::string>& tokens) {
  std::string all;
  for (const std::string& t : tokens) all += t;
  tokens.clear();
  tokens.push_back(std::move(all));
}

class Sequence : public Decoder {
 public:
  explicit Sequence(std::vector<DecoderPtr> steps) : steps_(std::move(steps)) {}
  void decode(std::vector<std::string>& tokens) const override {
    for (const DecoderPtr& step : steps_) step->decode(tokens);
  }
  int fallback_byte(std::string_view token) const override {
    for (const DecoderPtr& step : steps_) {
      if (const int byte = step->fallback_byte(token); byte >= 0) return byte;
    }
    return -1;
  }

 private:
  std::vector<DecoderPtr> steps_;
};

class ByteLevel : public Decoder {
 public:
  void decode(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& t : tokens) append_bytes(t, bytes);
    tokens.assign(1, replace_invalid_utf8(bytes));
  }
  bool is_bytewise() const override { return true; }
  void append_bytes(std::string_view token, std::string& out) const override {
    // A token with any character outside the byte alphabet stands for itself.
    const std::optional<std::string> bytes = bytes_of_word(token);
    out += bytes ? *bytes : token;
  }
};

class Replace : public Decoder {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void decode(std::vector<std::string>& tokens) const override {
    std::vector<Range> matches;
    for (std::string& t : tokens) {
      matches.clear();
      pattern_.find_all(t, {0, t.size()}, matches);
      if (matches.empty()) continue;
      std::string out;
      size_t at = 0;
      for (const Range& m : matches) {
        out.append(t, at, m.begin - at);
        out += content_;
        at = m.end;
      }
      out.append(t, at);
      t = std::move(out);
    }
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class ByteFallback : public Decoder {
 public:
  void decode(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (is_valid_utf8(bytes)) {
        if (!bytes.empty()) out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), kReplacementCharacter);
      }
      bytes.clear();
    };
    for (std::string& t : tokens) {
      if (const int byte = fallback_byte(t); byte >= 0) {
        bytes += static_cast<char>(byte);
        continue;
      }
      flush();
      out.push_back(std::move(t));
    }
    flush();
    tokens = std::move(out);
  }
  int fallback_byte(std::string_view t) const override {
    if (t.size() != 6 || !t.starts_with("<0x") || t[5] != '>') return -1;
    const int high = digit(t[3]), low = digit(t[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }

 private:
  static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  }
};

class Fuse : public Decoder {
 public:
  void decode(std::vector<std::string>& tokens) const override { join(tokens); }
};

class Strip : public Decoder {
 public:
  Strip(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void decode(std::vector<std::string>& tokens) const override {
    for (std::string& t : tokens) {
      size_t begin = 0, end = t.size();
      for (int64_t i = 0; i < start_ && at(t, begin, end); ++i) begin += content_.size();
      for (int64_t i = 0; i < stop_ && end >= begin + content_.size() && at(t, end - content_.size(), end);
           ++i) {
        end -= content_.size();
      }
      t = t.substr(begin, end - begin);
    }
  }

 private:
  bool at(const std::string& t, size_t begin, size_t end) const {
    return begin + content_.size() <= end && t.compare(begin, content_.size(), content_) == 0;
  }
  std::string content_;
  int64_t start_, stop_;
};

class Metaspace : public Decoder {
 public:
  Metaspace(std::string replacement, bool prefixed)
      : replacement_(std::move(replacement)), prefixed_(prefixed) {}
  void decode(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string_view space = i == 0 && prefixed_ ? "" : " ";
      std::string out;
      size_t at = 0;
      for (size_t m; (m = tokens[i].find(replacement_, at)) != std::string::npos;
           at = m + replacement_.size()) {
        out.append(tokens[i], at, m - at);
        out += space;
      }
      out.append(tokens[i], at);
      tokens[i] = std::move(out);
    }
  }

 private:
  std::string replacement_;
  bool prefixed_;
};

// One character, not empty: what Strip and Metaspace work with.
std::string character(const ComponentJson& json, const char* key, const char* fallback) {
  std::string text = json.string_or(key, fallback);
  if (!text.empty() && code_point_at(text, 0).size == text.size()) return text;
  throw Error(ErrorKind::format, fmt::format("\"{}\" must be one character, it is '{}'", key, text),
              json.where);
}

DecoderPtr make_sequence(const ComponentJson& json) {
  std::vector<DecoderPtr> steps;
  for (const ComponentJson& step : json.array("decoders")) steps.push_back(make_decoder(step));
  if (steps.size() == 1) return std::move(steps[0]);
  return std::make_unique<Sequence>(std::move(steps));
}
DecoderPtr make_byte_level_from(const ComponentJson&) { return make_byte_level_decoder(); }
DecoderPtr make_replace(const ComponentJson& json) {
  return std::make_unique<Replace>(Pattern(json), json.string("content"));
}
DecoderPtr make_byte_fallback(const ComponentJson&) { return std::make_unique<ByteFallback>(); }
DecoderPtr make_fuse(const ComponentJson&) { return std::make_unique<Fuse>(); }
DecoderPtr make_strip(const ComponentJson& json) {
  return std::make_unique<Strip>(character(json, "content", " "), json.integer_or("start", 0),
                                 json.integer_or("stop", 0));
}
DecoderPtr make_metaspace(const ComponentJson& json) {
  const bool legacy_prefix = json.boolean_or("add_prefix_space", true);
  return std::make_unique<Metaspace>(
      character(json, "replacement", kLowerOneEighthBlock),
      json.string_or("prepend_scheme", legacy_prefix ? "always" : "never") != "never");
}

constexpr ComponentMaker<DecoderPtr> kDecoders[] = {
    {"ByteFallback", make_byte_fallback},
    {"ByteLevel", make_byte_level_from},
    {"Fuse", make_fuse},
    {"Metaspace", make_metaspace},
    {"Replace", make_replace},
    {"Sequence", make_sequence},
    {"Strip", make_strip},
};

}  // namespace

DecoderPtr make_decoder(const ComponentJson& json) {
  return make_component<DecoderPtr>(json, "decoder", kDecoders);
}

DecoderPtr make_byte_level_decoder() { return std::make_unique<ByteLevel>(); }

DecoderPtr make_llama_decoder(bool strip_prefix) {
  std::vector<DecoderPtr> steps;
  steps.push_back(std::make_unique<Replace>(Pattern::literal(kLowerOneEighthBlock), " "));
  steps.push_back(std::make_unique<ByteFallback>());
  steps.push_back(std::make_unique<Fuse>());
  if (strip_prefix) steps.push_back(std::make_unique<Strip>(" ", 1, 0));
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace lorikeet::text
