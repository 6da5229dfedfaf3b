#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace lorikeet {
namespace {

// True where bytes[at..] begins a character whose rest may still come.
bool may_continue(std::string_view bytes, size_t at) {
  uint32_t bad = 0;
  if (text::utf8_sequence(bytes, at, &bad) != 0 || at + bad != bytes.size()) return false;
  const auto first = static_cast<unsigned char>(bytes[at]);
  if (first < 0xc2 || first > 0xf4) return false;
  const size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return bytes.size() - at < size;
}

// Takes whole characters (and what can never become one) off the front of `bytes`.
std::string take_complete(std::string& bytes, bool all) {
  size_t at = 0;
  while (at < bytes.size()) {
    uint32_t bad = 0;
    const uint32_t size = text::utf8_sequence(bytes, at, &bad);
    if (!all && may_continue(bytes, at)) break;
    at += size ? size : bad;
  }
  std::string out = text::replace_invalid_utf8(std::string_view(bytes).substr(0, at));
  bytes.erase(0, at);
  return out;
}

}  // namespace

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens) {}

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_tokens_ && tokenizer_.is_special(id)) return {};
  const auto& decoder = tokenizer_.parts().decoder;
  if (decoder && decoder->is_bytewise()) {
    if (const auto token = tokenizer_.id_to_token(id)) decoder->append_bytes(*token, bytes_);
    return take_complete(bytes_, false);
  }
  window_.push_back(id);
  return take_window(false);
}

std::string StreamDecoder::finish() {
  if (!bytes_.empty()) return take_complete(bytes_, true);
  return window_.size() > context_ ? take_window(true) : std::string();
}

bool StreamDecoder::ends_open() const {
  const auto& decoder = tokenizer_.parts().decoder;
  std::string bytes;  // of the byte tokens at the end
  for (size_t i = window_.size(); i > context_ && bytes.size() < 4; --i) {
    const int byte =
        decoder ? decoder->fallback_byte(tokenizer_.id_to_token(window_[i - 1]).value_or("")) : -1;
    if (byte < 0) break;
    bytes.insert(bytes.begin(), static_cast<char>(byte));
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (may_continue(bytes, at)) return true;
  }
  return false;
}

std::string StreamDecoder::take_window(bool all) {
  // The tokens before are decoded along, since a token's text may depend on whether it is the first.
  const std::string before = tokenizer_.decode(std::span(window_).first(context_), false);
  const std::string now = tokenizer_.decode(window_, false);
  if (!all && ends_open()) return {};
  window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(context_));
  context_ = window_.size();
  return now.starts_with(before) ? now.substr(before.size()) : now;
}

}  // namespace lorikeet
