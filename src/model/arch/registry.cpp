#include "model/arch/registry.h"

#include "core/error.h"
#include "model/arch/families.h"

namespace lorikeet {

namespace {
constexpr const char* kOwnLinear = "the class of its linear layers is derived from nn.Linear and stays dense";
constexpr const char* kWholeExperts = "a mixture of experts holds its experts in whole, dense tensors";
constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", "Llama 1 to 3.3, Falcon 3, SmolLM, TinyLlama, Yi", llama_spec},
    {"MistralForCausalLM", "Mistral", mistral_spec},
    {"MixtralForCausalLM", "Mixtral (experts frozen)", mixtral_spec, kWholeExperts},
    {"Qwen2ForCausalLM", "Qwen 1.5, 2, 2.5", qwen2_spec},
    {"Qwen3ForCausalLM", "Qwen 3", qwen3_spec},
    {"Qwen3MoeForCausalLM", "Qwen 3 MoE (experts frozen)", qwen3_moe_spec, kWholeExperts},
    {"GemmaForCausalLM", "Gemma", gemma_spec},
    {"Gemma2ForCausalLM", "Gemma 2", gemma2_spec},
    {"Gemma3ForCausalLM", "Gemma 3 (text)", gemma3_spec},
    {"Phi3ForCausalLM", "Phi-3, 3.5, 4", phi3_spec},
    {"GraniteForCausalLM", "Granite 3", granite_spec},
    {"Olmo2ForCausalLM", "OLMo 2", olmo2_spec},
    {"SmolLM3ForCausalLM", "SmolLM 3", smollm3_spec},
    {"GPT2LMHeadModel", "GPT-2", gpt2_spec},
    {"GPTNeoXForCausalLM", "GPT-NeoX, Pythia", gpt_neox_spec},
    {"FalconForCausalLM", "Falcon 7B, 40B, 180B", falcon_spec, kOwnLinear},
    {"Starcoder2ForCausalLM", "StarCoder 2", starcoder2_spec},
    {"StableLmForCausalLM", "StableLM", stablelm_spec},
    {"PhiForCausalLM", "Phi-1, 1.5, 2", phi_spec},
    {"CohereForCausalLM", "Command-R", cohere_spec},
    {"OPTForCausalLM", "OPT", opt_spec},
};
}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

ModelSpec read_model_spec(const HfConfig& config) {
  const std::string name = config.architecture();
  std::string known;
  for (const Architecture& a : kArchitectures) {
    if (name == a.name) {
      ModelSpec s = a.spec(config);
      s.architecture = name;
      config.refuse_unread();
      s.validate();
      return s;
    }
    known += (known.empty() ? "" : ", ") + std::string(a.name);
  }
  throw Error(ErrorKind::unsupported, fmt::format("architecture \"{}\" is not supported", name),
              config.field("architectures"),
              "use one of: " + known + "; or add one, see docs/add-an-architecture.md");
}

}  // namespace lorikeet
