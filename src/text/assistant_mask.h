#pragma once
// A conversation as token ids, and which of them the assistant wrote.
#include <cstdint>
#include <optional>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace lorikeet {

struct MaskedConversation {
  std::vector<int32_t> input_ids;
  std::vector<bool>
      target;  ///< as many as input_ids: written by the assistant, its end-of-turn token included
};

/// Renders the whole conversation, tokenizes it in one go and marks the assistant's tokens.
///
/// The text is encoded without special tokens, since the template writes them itself; where the tokenizer
/// wants BOS and the rendering has none, exactly one is put in front.
/// Where the template marks {% generation %} blocks those are the targets, unless they leave out the
/// end-of-turn token. Otherwise the targets are found
/// from the rendering itself: for each assistant message the text between the rendering of what comes
/// before it (with the generation prompt) and of what comes up to it, verified to hold the message's
/// content and the end-of-turn token that closes it.
///
/// Throws Error(format) naming the message where that is impossible: the template rewrites or drops earlier
/// content, its rendering does not contain the content, or it ends the turn with text that is no token of its
/// own, at which generation could not stop. `input.add_generation_prompt` must be false.
MaskedConversation tokenize_conversation(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                         const ChatInput& input);

/// The token with which the template closes what the assistant says, at which generation has to stop,
/// whatever the model's configuration calls its ends. Nothing where the template shows none.
std::optional<int32_t> end_of_turn_id(const Tokenizer& tokenizer, const ChatTemplate& chat_template);

/// The conversation up to where the assistant speaks next (with the generation prompt), as token ids.
std::vector<int32_t> tokenize_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                     const ChatInput& input);

}  // namespace lorikeet
