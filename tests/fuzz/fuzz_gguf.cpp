// Opens a GGUF file and touches every tensor's first and last byte.
#include "fuzz_input.h"
#include "io/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const fuzz::InputFile file(data, size);
  return fuzz::answers([&] {
    const GgufFile gguf = GgufFile::open(file.path());
    volatile int sum = 0;
    for (const GgufTensor& t : gguf.tensors()) {
      if (t.bytes != 0) sum = sum + static_cast<int>(t.data[0]) + static_cast<int>(t.data[t.bytes - 1]);
    }
  });
}
