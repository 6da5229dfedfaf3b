#include "text/chat_template.h"

namespace lorikeet {
namespace {

struct BuiltIn {
  std::string_view name;
  const char* source;
};

constexpr BuiltIn kBuiltIns[] = {
    {"alpaca", R"({%- if messages and messages[0].role == 'system' -%}
{{ messages[0].content + '\n\n' }}
{%- else -%}
{{ 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n' }}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{{ '### Instruction:\n' + message.content + '\n\n' }}
{%- elif message.role == 'assistant' -%}
{{ '### Response:\n' }}{% generation %}{{ message.content + eos_token }}{% endgeneration %}{{ '\n\n' }}
{%- elif not (message.role == 'system' and loop.first) -%}
{{ raise_exception("the alpaca template knows the roles user and assistant, and system for the first message, not '" + message.role + "'") }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '### Response:\n' }}
{%- endif -%}
)"},
    {"chatml", R"({%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' }}
{%- if message.role == 'assistant' -%}
{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}
{%- else -%}
{{ message.content + '<|im_end|>\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\n' }}
{%- endif -%}
)"},
    {"llama3", R"({{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
{%- if message.role == 'assistant' -%}
{% generation %}{{ message.content | trim + '<|eot_id|>' }}{% endgeneration %}
{%- else -%}
{{ message.content | trim + '<|eot_id|>' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif -%}
)"},
};

}  // namespace

std::optional<std::string> built_in_chat_template(std::string_view name) {
  for (const BuiltIn& b : kBuiltIns) {
    if (b.name == name) return std::string(b.source);
  }
  return std::nullopt;
}

std::vector<std::string> built_in_chat_template_names() {
  std::vector<std::string> out;
  for (const BuiltIn& b : kBuiltIns) out.emplace_back(b.name);
  return out;
}

}  // namespace lorikeet
