#include "text/chat_template.h"

#include "core/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace lorikeet {
namespace {

// Names under which a message's reasoning is passed; templates read one or the other.
constexpr const char* kReasoningKeys[] = {"reasoning_content", "thinking", "reasoning"};

// As transformers does: whichever name the reasoning came under, templates find it.
nlohmann::ordered_json with_reasoning(const nlohmann::ordered_json& message) {
  if (!message.is_object()) return message;
  for (const char* key : kReasoningKeys) {
    const auto it = message.find(key);
    if (it == message.end() || it->is_null()) continue;
    nlohmann::ordered_json out = nlohmann::ordered_json::object();
    out["thinking"] = *it;
    for (const auto& [name, value] : message.items()) out[name] = value;
    out["reasoning_content"] = *it;
    return out;
  }
  return message;
}

}  // namespace

ChatTemplate::ChatTemplate(const std::string& source, const std::string& name)
    : program_(jinja::parse_template(source, name)) {}

Rendered ChatTemplate::render(const nlohmann::ordered_json& variables, const RenderLimits& limits) const {
  if (!variables.is_object()) {
    throw Error(ErrorKind::format,
                fmt::format("the template's variables must be an object, not {}", variables.type_name()),
                program_->name);
  }
  return jinja::Interpreter(*program_, limits).run(variables);
}

bool ChatTemplate::marks_generation() const { return program_->marks_generation; }
const std::string& ChatTemplate::source() const { return program_->source; }

nlohmann::ordered_json chat_variables(const Tokenizer& tokenizer, const ChatInput& input) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  for (const auto& message : input.messages) messages.push_back(with_reasoning(message));
  out["messages"] = std::move(messages);
  out["tools"] = input.tools;
  out["documents"] = nullptr;
  out["add_generation_prompt"] = input.add_generation_prompt;
  const std::pair<const char*, std::string> special[] = {{"bos_token", tokenizer.bos_token()},
                                                         {"eos_token", tokenizer.eos_token()},
                                                         {"unk_token", tokenizer.unk_token()},
                                                         {"pad_token", tokenizer.pad_token()}};
  for (const auto& [name, text] : special) {
    if (!text.empty()) out[name] = text;
  }
  for (const auto& [name, value] : input.extra.items()) out[name] = value;
  return out;
}

}  // namespace lorikeet
