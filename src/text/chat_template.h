#pragma once
// Chat templates: the Jinja subset that published templates use, in transformers' settings.
//
// Goals: text equal to Jinja2's, errors where Jinja2 raises them, and no template that hangs, exhausts
// memory or reaches outside. Non-goals: include, import, extends, block, recursive loops.
#include <cstddef>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace lorikeet {

namespace jinja {
struct Program;
}

/// Bytes [begin, end) of a rendered text.
struct TextSpan {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const TextSpan&) const = default;
};

struct Rendered {
  std::string text;
  std::vector<TextSpan> generation_spans;  ///< what {% generation %} blocks wrote, in order
  bool spans_known = true;  ///< false where such a block was inside a macro, so that its place is not known
};

/// Limits of one rendering; beyond them render throws Error(resource).
struct RenderLimits {
  size_t steps = 20'000'000;        ///< evaluated nodes
  size_t output_bytes = 64u << 20;  ///< text, and any one value
  int depth = 1000;                 ///< nested blocks, calls and expressions
  std::optional<int64_t> now;       ///< seconds since 1970 that strftime_now shows; nothing: the clock
};

/// A compiled template; cheap to copy, safe to use from several threads at once.
class ChatTemplate {
 public:
  /// Throws Error(format) with line number for a syntax error, Error(unsupported) for a construct outside
  /// the subset. `name` stands in errors.
  explicit ChatTemplate(const std::string& source, const std::string& name = "chat template");

  /// Renders with the members of the object `variables`. Throws Error(format) with the template's own
  /// message where it calls raise_exception, and with Jinja2's reason where Jinja2 would raise.
  Rendered render(const nlohmann::ordered_json& variables, const RenderLimits& limits = {}) const;

  /// True where the template contains {% generation %}.
  bool marks_generation() const;
  const std::string& source() const;

 private:
  std::shared_ptr<const jinja::Program> program_;
};

/// The source of a built-in template: "chatml", "llama3" or "alpaca"; nothing for another name.
std::optional<std::string> built_in_chat_template(std::string_view name);
std::vector<std::string> built_in_chat_template_names();

/// What transformers' apply_chat_template passes to a template.
struct ChatInput {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  nlohmann::ordered_json tools;  ///< null: none
  bool add_generation_prompt = false;
  nlohmann::ordered_json extra =
      nlohmann::ordered_json::object();  ///< further variables, e.g. enable_thinking
};

/// The variables of `input` with the tokenizer's special tokens: bos_token, eos_token, pad_token, unk_token.
nlohmann::ordered_json chat_variables(const Tokenizer& tokenizer, const ChatInput& input);

}  // namespace lorikeet
