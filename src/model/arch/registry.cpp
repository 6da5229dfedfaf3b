#include "model/arch/registry.h"

#include "core/error.h"
#include "model/arch/families.h"

namespace lorikeet {

namespace {
constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", llama_spec},
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
