// Compiles a chat template and renders a short conversation with it, under small limits.
#include "fuzz_input.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  static const nlohmann::ordered_json variables = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hi there\n"},
                 {"role": "assistant", "content": "Hello", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true})");
  return fuzz::answers([&] {
    const ChatTemplate chat_template({reinterpret_cast<const char*>(data), size});
    RenderLimits limits;
    limits.steps = 100'000;
    limits.output_bytes = 1u << 20;
    limits.depth = 100;
    limits.now = 0;
    chat_template.render(variables, limits);
  });
}
