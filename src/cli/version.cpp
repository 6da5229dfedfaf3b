#include "cli/version.h"

#include "backend/cpu/isa.h"
#include "core/error.h"
#include "lorikeet_version.inc"

namespace lorikeet::cli {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

}  // namespace

std::string version_number() { return LORIKEET_VERSION; }
std::string commit() { return LORIKEET_COMMIT; }
std::string compiler() { return kCompiler; }

std::string version_text() {
  std::string paths;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16})
    paths += fmt::format("{}{}{}", paths.empty() ? "" : ", ", name_of(isa),
                         isa == cpu_isa()     ? " (in use)"
                         : isa_available(isa) ? ""
                                              : " (not on this machine)");
  return fmt::format("lorikeet {}\ncommit            {}\ncompiler          {}\ninstruction sets  {}\n",
                     version_number(), commit(), compiler(), paths);
}

}  // namespace lorikeet::cli
