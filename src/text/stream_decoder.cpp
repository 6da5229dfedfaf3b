#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace lorikeet {
namespace {

constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";
// A character has at most four bytes, each at most one token: what is open longer will never close.
constexpr size_t kMaxOpenTokens = 4;

// Takes whole characters (and what can never become one) off the front of `bytes`.
std::string take_complete(std::string& bytes, bool all) {
  size_t at = 0;
  while (at < bytes.size()) {
    uint32_t bad = 0;
    const uint32_t size = text::utf8_sequence(bytes, at, &bad);
    const bool may_continue = size == 0 && at + bad == bytes.size() && bytes.size() - at < 4 &&
                              static_cast<unsigned char>(bytes[at]) >= 0xc2 &&
                              static_cast<unsigned char>(bytes[at]) <= 0xf4;
    if (may_continue && !all) break;
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

std::string StreamDecoder::take_window(bool all) {
  // The tokens before are decoded along, since a token's text may depend on whether it is the first.
  const std::string before = tokenizer_.decode(std::span(window_).first(context_), false);
  const std::string now = tokenizer_.decode(window_, false);
  const bool open = now.ends_with(kReplacementCharacter) && window_.size() - context_ <= kMaxOpenTokens;
  if (open && !all) return {};
  window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(context_));
  context_ = window_.size();
  return now.starts_with(before) ? now.substr(before.size()) : now;
}

}  // namespace lorikeet
