// lorikeet doctor: what this machine offers.
#include <filesystem>
#include <fstream>

#include "backend/cpu/isa.h"
#include "cli/command.h"
#include "cli/kernel_choice.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "core/error.h"
#include "core/system_memory.h"
#include "core/thread_pool.h"
#include "model/arch/registry.h"
#include "model/files.h"

namespace lorikeet::cli {
namespace {

constexpr Isa kAllIsas[] = {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16};

/// Device files of GPU drivers: what is there, though nothing here uses it.
std::vector<std::string> gpu_devices() {
  std::vector<std::string> found;
  std::error_code ignored;
  for (int i = 0; i < 64; ++i)
    if (const auto path = fmt::format("/dev/nvidia{}", i); std::filesystem::exists(path, ignored))
      found.push_back(path);
  if (std::filesystem::exists("/dev/kfd", ignored)) found.emplace_back("/dev/kfd");
  return found;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Json as_json() {
  Json isas = Json::object(), kernels = Json::object();
  for (const Isa isa : kAllIsas) isas[name_of(isa)] = isa_available(isa);
  for (const KernelChoice& k : kernel_choices())
    kernels[k.op] = {{"float32", k.float32}, {"bfloat16", k.bfloat16}};
  Json families = Json::array();
  for (const Architecture& a : architectures())
    families.push_back({{"architecture", a.name}, {"models", a.family}, {"gguf", gguf_architecture(a.name)}});
  return Json{{"version", version_number()},
              {"commit", commit()},
              {"processor", processor_name()},
              {"isa", name_of(cpu_isa())},
              {"isas", isas},
              {"features", cpu_features_text()},
              {"threads", ThreadPool::available_cpus()},

              {"memory_free_bytes", available_memory()},
              {"gpus", gpu_devices()},
              {"kernels", kernels},
              {"architectures", families}};
}

void print() {
  std::string isas, gpus;
  for (const Isa isa : kAllIsas)
    isas += fmt::format("{}{}{}", isas.empty() ? "" : ", ", name_of(isa),
                        isa == cpu_isa()     ? " (in use)"
                        : isa_available(isa) ? ""
                                             : " (not on this machine)");
  for (const std::string& gpu : gpu_devices()) gpus += (gpus.empty() ? "" : ", ") + gpu;
  out().line(fmt::format("processor         {}", processor_name()));
  out().line(fmt::format("instruction sets  {}", isas));
  out().line(fmt::format("features          {}", cpu_features_text()));
  out().line(fmt::format("threads           {}", ThreadPool::available_cpus()));
  out().line(fmt::format("memory            {} free", in_gib(available_memory())));
  out().line(fmt::format("GPUs              {}",
                         gpus.empty() ? "none" : gpus + " (not used: device cuda is not yet supported)"));
  out().line("");
  std::vector<std::vector<std::string>> rows{{"kernel of", "float32", "bfloat16"}};
  for (const KernelChoice& k : kernel_choices()) rows.push_back({k.op, k.float32, k.bfloat16});
  out().write(table_text(rows, "lll"));
  out().line("");
  rows = {{"models", "architecture", "GGUF"}};
  for (const Architecture& a : architectures())
    rows.push_back({a.family, a.name, std::string(gguf_architecture(a.name))});
  out().write(table_text(rows, "lll"));
}

}  // namespace

int run_doctor(const std::vector<std::string>& arguments) {
  CommandLine line("doctor", "doctor [--json]",
                   "Shows what this machine offers: instruction sets, threads, memory, GPUs, the kernel "
                   "that each op would use, and the models that can be trained.");
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  if (line.common.json) {
    out().json(as_json());
  } else {
    print();
  }
  return 0;
}

}  // namespace lorikeet::cli
