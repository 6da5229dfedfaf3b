// Any bytes as tokenizer.json: refused or a tokenizer that works. The first byte splits the input into a
// file and a text to encode; a sound small tokenizer takes the text where the file is refused.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lorikeet/error.h"
#include "text/tokenizer.h"

namespace {

constexpr const char* kSmall = R"({"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel"},
  "decoder": {"type": "ByteLevel"}, "added_tokens": [{"id": 3, "content": "<x>", "lstrip": true, "rstrip": true}],
  "model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";

void use(const lorikeet::Tokenizer& t, std::string_view text) {
  const lorikeet::Encoding e = t.encode_with_offsets(text, true);
  for (const lorikeet::TokenOffsets& o : e.offsets) {
    if (o.begin > o.end || o.end > text.size()) __builtin_trap();
  }
  if (e.ids != t.encode(text, true)) __builtin_trap();
  t.decode(e.ids, false);
  lorikeet::StreamDecoder stream(t, true);
  for (const int32_t id : e.ids) stream.push(id);
  stream.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 1u << 16) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t split = input.size() * data[0] / 255;
  static const lorikeet::Tokenizer small = lorikeet::Tokenizer::from_json(kSmall, "small");
  try {
    use(lorikeet::Tokenizer::from_json(input.substr(0, split), "fuzz"), input.substr(split));
  } catch (const lorikeet::Error& e) {
    if (e.kind() == lorikeet::ErrorKind::internal) __builtin_trap();
  }
  use(small, input);
  return 0;
}
