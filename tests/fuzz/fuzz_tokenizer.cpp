// Reads a tokenizer.json, encodes awkward text with it and decodes the ids again.
#include "fuzz_input.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  return fuzz::answers([&] {
    const Tokenizer tokenizer =
        Tokenizer::from_json({reinterpret_cast<const char*>(data), size}, "tokenizer.json");
    constexpr std::string_view kText = "Hello  wörld \xF0\x9F\x98\x80 it's 12345\r\n\t<s>\xFF\xC3 e\xCC\x81";
    const Encoding encoding = tokenizer.encode_with_offsets(kText, true);
    if (encoding.offsets.size() != encoding.ids.size()) std::abort();
    tokenizer.decode(encoding.ids, false);
    tokenizer.decode(encoding.ids, true);
  });
}
