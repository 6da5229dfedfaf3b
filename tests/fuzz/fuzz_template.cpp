// Any text as chat template: refused, or rendered within its limits.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "lorikeet/error.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 14) return 0;
  static const auto variables = nlohmann::ordered_json::parse(R"({"bos_token": "<s>", "eos_token": "</s>",
    "add_generation_prompt": true, "tools": [{"function": {"name": "f", "parameters": {"x": [1, 2.5, null]}}}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "é\n"}, {"role": "assistant", "content": "A"}]})");
  lorikeet::RenderLimits limits;
  limits.steps = 100'000;
  limits.output_bytes = 1u << 20;
  limits.now = 0;
  try {
    const lorikeet::Rendered r =
        lorikeet::ChatTemplate(std::string(reinterpret_cast<const char*>(data), size))
            .render(variables, limits);
    for (const lorikeet::TextSpan& s : r.generation_spans) {
      if (s.begin > s.end || s.end > r.text.size()) __builtin_trap();
    }
  } catch (const lorikeet::Error& e) {
    if (e.kind() == lorikeet::ErrorKind::internal) __builtin_trap();
  }
  return 0;
}
