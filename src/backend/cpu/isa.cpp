#include "backend/cpu/isa.h"

#include <cstdlib>
#include <cstring>

#include "core/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lorikeet {

namespace {

constexpr const char* kNames[] = {"portable", "avx2", "avx512", "avx512bf16"};

struct Feature {
  const char* name;
  Isa needed_by;
  bool present;
};

#if defined(__x86_64__)
struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(uint32_t leaf, uint32_t subleaf) {
  Leaf r;
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
  return r;
}

/// The register sets that the operating system saves (XCR0), or 0 if it does not say.
uint32_t saved_state(bool osxsave) {
  if (!osxsave) return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}
#endif

constexpr size_t kFeatures = 9;
using Features = Feature[kFeatures];

const Features& features() {
#if defined(__x86_64__)
  static const Leaf one = cpuid(1, 0), seven = cpuid(7, 0), seven1 = cpuid(7, 1);
  static const uint32_t saved = saved_state(one.ecx >> 27 & 1);
  static const bool ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xe6) == 0xe6;
  static const Features list = {
      {"avx2", Isa::avx2, ymm && (seven.ebx >> 5 & 1)},
      {"fma", Isa::avx2, ymm && (one.ecx >> 12 & 1)},
      {"f16c", Isa::avx2, ymm && (one.ecx >> 29 & 1)},
      {"bmi2", Isa::avx2, (seven.ebx >> 3 & 1) && (seven.ebx >> 8 & 1)},
      {"avx512f", Isa::avx512, zmm && (seven.ebx >> 16 & 1)},
      {"avx512dq", Isa::avx512, zmm && (seven.ebx >> 17 & 1)},
      {"avx512bw", Isa::avx512, zmm && (seven.ebx >> 30 & 1)},
      {"avx512vl", Isa::avx512, zmm && (seven.ebx >> 31 & 1)},
      {"avx512_bf16", Isa::avx512bf16, zmm && (seven1.eax >> 5 & 1)},
  };
#else
  static const Features list = {};
#endif
  return list;
}

}  // namespace

const char* name_of(Isa isa) { return kNames[static_cast<int>(isa)]; }

bool isa_available(Isa isa) {
  if (isa == Isa::portable) return true;
  for (const Feature& f : features())
    if (!f.name || (f.needed_by <= isa && !f.present)) return false;
  return true;
}

Isa choose_isa(const char* requested) {
  if (!requested || !*requested) {
    Isa best = Isa::portable;
    for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512bf16})
      if (isa_available(isa)) best = isa;
    return best;
  }
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16}) {
    if (std::strcmp(requested, name_of(isa)) != 0) continue;
    if (isa_available(isa)) return isa;
    throw Error(ErrorKind::usage, fmt::format("this machine cannot run instruction set \"{}\"", requested),
                "environment variable LORIKEET_ISA",
                fmt::format("unset it, or use \"{}\"", name_of(choose_isa(nullptr))));
  }
  throw Error(ErrorKind::usage, fmt::format("unknown instruction set \"{}\"", requested),
              "environment variable LORIKEET_ISA", "use one of: portable, avx2, avx512, avx512bf16");
}

Isa cpu_isa() {
  static const Isa isa = choose_isa(std::getenv("LORIKEET_ISA"));
  return isa;
}

std::string cpu_features_text() {
  std::string text;
  for (const Feature& f : features())
    if (f.name && f.present) text += (text.empty() ? "" : " ") + std::string(f.name);
  return text.empty() ? "none" : text;
}

}  // namespace lorikeet
