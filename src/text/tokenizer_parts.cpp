#include "text/tokenizer_parts.h"

#include <algorithm>

#include "core/error.h"

namespace lorikeet::text {
namespace {

// Longer added tokens would make searching for them slow; real ones have up to a few hundred bytes.
constexpr size_t kMaxAddedTokenBytes = 4096;

}  // namespace

std::optional<int32_t> TokenizerParts::find(std::string_view token) const {
  if (const auto it = added_ids.find(std::string(token)); it != added_ids.end()) return it->second;
  const int32_t id = bpe.vocabulary().find(token);
  return id == Vocabulary::kMissing ? std::nullopt : std::optional(id);
}

void TokenizerParts::add_token(AddedToken token, const std::string& where) {
  if (token.content.empty()) return;
  if (token.content.size() > kMaxAddedTokenBytes) {
    throw Error(ErrorKind::format,
                fmt::format("the added token {} has {} bytes, more than {}", token.id, token.content.size(),
                            kMaxAddedTokenBytes),
                where);
  }
  if (token.id < 0 || token.id >= Vocabulary::kMaxTokens) {
    throw Error(
        ErrorKind::format,
        fmt::format("the id {} of '{}' is outside [0, {})", token.id, token.content, Vocabulary::kMaxTokens),
        where);
  }
  if (const int32_t id = bpe.vocabulary().find(token.content); id != Vocabulary::kMissing) token.id = id;
  const auto [it, inserted] = added_ids.try_emplace(token.content, token.id);
  if (!inserted) {
    token.id = it->second;
  } else if (const auto other = added.find(token.id);
             other != added.end() ||
             (bpe.vocabulary().text(token.id) && *bpe.vocabulary().text(token.id) != token.content)) {
    const std::string name =
        other != added.end() ? other->second.content : std::string(*bpe.vocabulary().text(token.id));
    throw Error(ErrorKind::format,
                fmt::format("token id {} belongs to '{}' and to '{}'", token.id, name, token.content), where);
  }
  added.insert_or_assign(token.id, std::move(token));
}

void TokenizerParts::finish() {
  vocab_size = bpe.vocabulary().size();
  std::vector<AddedToken*> order;
  for (auto& [id, token] : added) {
    vocab_size = std::max(vocab_size, id + 1);
    order.push_back(&token);
  }
  std::sort(order.begin(), order.end(),
            [](const AddedToken* a, const AddedToken* b) { return a->id < b->id; });
  for (AddedToken* token : order) {
    if (!token->normalized) {
      raw_matcher.add(*token, token->content);
      continue;
    }
    Pieces spelling;
    spelling.text = token->content;
    if (normalizer && !token->verbatim) normalizer->normalize(spelling);
    token->content = spelling.text;  // the official library decodes it so
    normalized_matcher.add(*token, spelling.text);
  }
  for (const auto* side : {&surround.prefix, &surround.suffix}) {
    for (const int32_t id : *side) {
      if (id >= 0 && id < vocab_size) continue;
      throw Error(ErrorKind::format,
                  fmt::format("the post-processor adds token {} of a vocabulary of {}", id, vocab_size));
    }
  }
}

}  // namespace lorikeet::text
