// Any bytes as tokenizer.model: refused or a tokenizer that works.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lorikeet/error.h"
#include "text/sentencepiece.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 16) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const auto t = lorikeet::sentencepiece_tokenizer(input, "fuzz");
    t.decode(t.encode(input, true), false);
  } catch (const lorikeet::Error& e) {
    if (e.kind() == lorikeet::ErrorKind::internal) __builtin_trap();
  }
  return 0;
}
