#pragma once
#include <cstdint>
#include <string>

namespace lorikeet {

/// Instruction sets with kernels of their own, slowest first. Each contains the ones before it.
enum class Isa : uint8_t { portable, avx2, avx512, avx512bf16 };

/// The name used by LORIKEET_ISA, e.g. "avx512bf16".
const char* name_of(Isa isa);

/// Whether the processor has it and the operating system saves its registers.
bool isa_available(Isa isa);

/// The instruction set of every CPU kernel of this process: what LORIKEET_ISA names, else the best available
/// one. Fixed at the first call. Throws Error(usage) if LORIKEET_ISA is unknown or not available on this
/// machine.
Isa cpu_isa();

/// The rule behind cpu_isa(): `requested` null or empty means the best one.
Isa choose_isa(const char* requested);

/// The processor features the kernels look at, as one line of text, e.g. "avx2 fma f16c avx512f ...".
std::string cpu_features_text();

}  // namespace lorikeet
