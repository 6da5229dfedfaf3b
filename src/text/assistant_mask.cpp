#include "text/assistant_mask.h"

#include <algorithm>
#include <optional>

#include "core/error.h"

namespace lorikeet {
namespace {

using Json = nlohmann::ordered_json;

// Stands for a message's content in a trial rendering; private-use characters, so that no template knows it.
constexpr std::string_view kSentinel = "\xee\x80\x80lorikeet\xee\x80\x81";

std::string_view trimmed(std::string_view s) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!s.empty() && space(s.front())) s.remove_prefix(1);
  while (!s.empty() && space(s.back())) s.remove_suffix(1);
  return s;
}

// The text of a message, where it is one text: a string, or the only text part of a list.
Json* text_of(Json& message) {
  const auto it = message.find("content");
  if (it == message.end()) return nullptr;
  if (it->is_string()) return &*it;
  Json* found = nullptr;
  if (!it->is_array()) return nullptr;
  for (Json& part : *it) {
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string()) continue;
    if (found) return nullptr;
    found = &part["text"];
  }
  return found;
}

bool is_assistant(const Json& message) {
  return message.is_object() && message.contains("role") && message["role"].is_string() &&
         message["role"] == "assistant";
}

// The last word, or of a long one its last characters.
std::string ending(std::string_view text) {
  constexpr size_t kMost = 30;
  const size_t space = text.find_last_of(" \t\r\n");
  if (space != std::string_view::npos) text.remove_prefix(space + 1);
  if (text.size() <= kMost) return std::string(text);
  size_t begin = text.size() - kMost;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) ++begin;
  return "..." + std::string(text.substr(begin));
}

// One conversation on its way to ids and targets.
class Conversation {
 public:
  Conversation(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const ChatInput& input)
      : tokenizer_(tokenizer), template_(chat_template), input_(input) {
    full_ = render(input.messages, false);
    encoding_ = tokenizer.encode_with_offsets(full_.text, false);
  }

  MaskedConversation run() {
    const std::vector<TextSpan> spans =
        template_.marks_generation() && full_.spans_known ? marked() : derived();
    check_endings(spans);
    MaskedConversation out;
    if (tokenizer_.adds_bos() && (encoding_.ids.empty() || encoding_.ids[0] != *tokenizer_.bos_id())) {
      out.input_ids.push_back(*tokenizer_.bos_id());
      out.target.push_back(false);
    }
    out.input_ids.insert(out.input_ids.end(), encoding_.ids.begin(), encoding_.ids.end());
    size_t next = 0;
    for (const TokenOffsets& o : encoding_.offsets) {
      while (next < spans.size() && spans[next].end <= o.begin) ++next;
      out.target.push_back(next < spans.size() && o.end > spans[next].begin && o.begin < o.end);
    }
    return out;
  }

 private:
  [[noreturn]] void impossible(size_t message, const std::string& reason) const {
    throw Error(ErrorKind::format,
                fmt::format("the chat template does not show which tokens the assistant wrote: {}", reason),
                fmt::format("message {} (assistant)", message + 1),
                "use a template with {% generation %} marks, or set assistant_only_loss: false");
  }

  Rendered render(const Json& messages, bool generation_prompt) const {
    ChatInput input{messages, input_.tools, generation_prompt, input_.extra};
    return template_.render(chat_variables(tokenizer_, input));
  }
  // Some templates refuse a conversation that is cut off; that is no error of the conversation.
  std::optional<std::string> try_render(const Json& messages, bool generation_prompt) const {
    try {
      return render(messages, generation_prompt).text;
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::format) throw;
      return std::nullopt;
    }
  }

  std::vector<TextSpan> marked() const {
    const bool spoken = std::any_of(input_.messages.begin(), input_.messages.end(), is_assistant);
    if (spoken && full_.generation_spans.empty()) {
      throw Error(ErrorKind::format,
                  "the chat template's {% generation %} blocks wrote nothing for the assistant's messages");
    }
    for (const TextSpan& span : full_.generation_spans) check_closed(span);
    return full_.generation_spans;
  }

  // A marked block that leaves out the token right behind it, the end of the turn, would teach a model that
  // never stops.
  void check_closed(const TextSpan& span) const {
    for (size_t t = 0; t < encoding_.ids.size(); ++t) {
      const TokenOffsets& o = encoding_.offsets[t];
      if (o.begin < span.end || !tokenizer_.is_special(encoding_.ids[t])) continue;
      const std::string_view between = std::string_view(full_.text).substr(span.end, o.begin - span.end);
      const bool inside =
          std::any_of(full_.generation_spans.begin(), full_.generation_spans.end(),
                      [&](const TextSpan& s) { return o.begin >= s.begin && o.begin < s.end; });
      if (inside || !trimmed(between).empty() || ends_with_special(span)) return;
      throw Error(
          ErrorKind::format,
          fmt::format("the chat template's {{% generation %}} block ends before {} and holds no token "
                      "that closes the turn, so the model would not learn to stop",
                      full_.text.substr(o.begin, o.end - o.begin)),
          {}, "in a chat_template of your own move {% endgeneration %} behind the end of turn");
    }
  }
  // An ending that the vocabulary lacks would be learned as ordinary text, letter by letter.
  void check_endings(const std::vector<TextSpan>& spans) const {
    size_t t = 0;
    for (size_t i = 0; i < spans.size(); ++i) {
      if (i + 1 < spans.size() && spans[i + 1].begin == spans[i].end) continue;  // the turn goes on
      std::optional<int32_t> last;
      for (; t < encoding_.ids.size() && encoding_.offsets[t].begin < spans[i].end; ++t) {
        const TokenOffsets& o = encoding_.offsets[t];
        const std::string_view text = std::string_view(full_.text).substr(o.begin, o.end - o.begin);
        if (o.end > spans[i].begin && !trimmed(text).empty()) last = encoding_.ids[t];
      }
      if (!last || tokenizer_.is_added(*last) || *last == tokenizer_.eos_id()) continue;
      const std::string_view text =
          trimmed(std::string_view(full_.text).substr(spans[i].begin, spans[i].end - spans[i].begin));
      throw Error(
          ErrorKind::format,
          fmt::format("the chat template ends what the assistant says with \"{}\", and this tokenizer "
                      "has no token for that ending, so generation would never stop there",
                      ending(text)),
          {},
          "choose a chat_template that ends turns with a token of the model (alpaca uses its "
          "eos_token), or set assistant_only_loss: false");
    }
  }
  bool ends_with_special(const TextSpan& span) const {
    bool special = false;
    for (size_t t = 0; t < encoding_.ids.size() && encoding_.offsets[t].begin < span.end; ++t) {
      const TokenOffsets& o = encoding_.offsets[t];
      const std::string_view text = std::string_view(full_.text).substr(o.begin, o.end - o.begin);
      if (o.end > span.begin && !trimmed(text).empty()) special = tokenizer_.is_special(encoding_.ids[t]);
    }
    return special;
  }

  std::vector<TextSpan> derived() const {
    std::vector<TextSpan> out;
    for (size_t i = 0; i < input_.messages.size(); ++i) {
      if (!is_assistant(input_.messages[i])) continue;
      const size_t from = out.empty() ? 0 : out.back().end;
      std::optional<TextSpan> span = by_prefixes(i);
      if (!span) span = by_sentinel(i);
      if (!span) impossible(i, "it writes this message differently once others follow, or not at all");
      if (span->begin < from) impossible(i, "the message stands before the end of an earlier one");
      out.push_back(closed(i, *span));
      verify(i, out.back());
    }
    return out;
  }

  Json first_messages(size_t count) const {
    return Json(
        Json::array_t(input_.messages.begin(), input_.messages.begin() + static_cast<ptrdiff_t>(count)));
  }

  // Where the conversation up to the message is the beginning of the whole: what it adds to the prompt.
  std::optional<TextSpan> by_prefixes(size_t i) const {
    const std::optional<std::string> until = i + 1 == input_.messages.size()
                                                 ? std::optional(full_.text)
                                                 : try_render(first_messages(i + 1), false);
    if (!until || !full_.text.starts_with(*until)) return std::nullopt;
    const std::optional<std::string> prompt = try_render(first_messages(i), true);
    if (!prompt || !until->starts_with(*prompt) || prompt->size() == until->size()) return std::nullopt;
    // Without a header for the assistant the template has no generation prompt: the content's place decides.
    const std::optional<std::string> before = try_render(first_messages(i), false);
    if (before && *before == *prompt) return std::nullopt;
    return TextSpan{prompt->size(), until->size()};
  }

  // Where a stand-in for the content ends up; only that may change the text.
  std::optional<TextSpan> by_sentinel(size_t i) const {
    Json messages = input_.messages;
    Json* text = text_of(messages[i]);
    if (!text) return std::nullopt;
    const std::string content = text->get<std::string>();
    *text = std::string(kSentinel);
    const std::optional<std::string> trial = try_render(messages, false);
    if (!trial) return std::nullopt;
    const size_t begin = trial->find(kSentinel);
    if (begin == std::string::npos || trial->find(kSentinel, begin + 1) != std::string::npos)
      return std::nullopt;
    const std::string_view whole = full_.text, head = std::string_view(*trial).substr(0, begin),
                           tail = std::string_view(*trial).substr(begin + kSentinel.size());
    if (whole.size() < head.size() + tail.size() || !whole.starts_with(head) || !whole.ends_with(tail)) {
      return std::nullopt;
    }
    const std::string_view shown = whole.substr(head.size(), whole.size() - head.size() - tail.size());
    if (trimmed(shown) != trimmed(content)) return std::nullopt;
    const size_t next = next_special(begin + shown.size());
    return TextSpan{begin_after_header(i, head), std::max(next, begin + shown.size())};
  }

  // What stands between the generation prompt and the content (an empty <think> block) is the assistant's
  // too.
  size_t begin_after_header(size_t i, std::string_view head) const {
    const std::optional<std::string> before = try_render(first_messages(i), false);
    const std::optional<std::string> prompt = try_render(first_messages(i), true);
    if (!before || !prompt || !prompt->starts_with(*before) || prompt->size() == before->size())
      return head.size();
    const std::string_view header = std::string_view(*prompt).substr(before->size());
    const size_t at = head.rfind(header);
    if (at == std::string_view::npos) return head.size();
    const size_t begin = at + header.size();
    for (size_t t = 0; t < encoding_.ids.size(); ++t) {  // not over another turn's tokens
      const TokenOffsets& o = encoding_.offsets[t];
      if (o.begin >= begin && o.end <= head.size() && tokenizer_.is_special(encoding_.ids[t]))
        return head.size();
    }
    for (size_t m = 0; m < input_.messages.size(); ++m) {
      Json other = input_.messages[m];
      const Json* text = m == i ? nullptr : text_of(other);
      const std::string_view said = text ? trimmed(text->get_ref<const std::string&>()) : std::string_view();
      if (!said.empty() && head.substr(begin).find(said) != std::string_view::npos) return head.size();
    }
    return begin;
  }

  // The end of the first special token that begins at or behind `from`.
  size_t next_special(size_t from) const {
    for (size_t t = 0; t < encoding_.ids.size(); ++t) {
      const TokenOffsets& o = encoding_.offsets[t];
      if (o.end > from && tokenizer_.is_special(encoding_.ids[t])) return o.end;
    }
    return from;
  }

  // The span up to the token that ends the turn: white space behind it is the template's.
  TextSpan closed(size_t i, TextSpan span) const {
    size_t end = span.begin;
    for (size_t t = 0; t < encoding_.ids.size(); ++t) {
      const TokenOffsets& o = encoding_.offsets[t];
      if (o.begin >= span.begin && o.begin < span.end && tokenizer_.is_special(encoding_.ids[t])) end = o.end;
    }
    const std::string_view rest =
        std::string_view(full_.text).substr(end, span.end - std::min(end, span.end));
    if (end > span.begin && trimmed(rest).empty()) return {span.begin, end};
    // The vocabulary may lack the template's end-of-turn token: then it is plain text behind the content.
    const std::string_view text = std::string_view(full_.text).substr(span.begin, span.end - span.begin);
    Json message = input_.messages[i];
    const Json* content = text_of(message);
    const std::string wanted(content ? trimmed(content->get_ref<const std::string&>()) : std::string_view());
    const std::string_view shown = trimmed(text);
    if (shown.empty() || shown.ends_with(wanted)) {
      impossible(i, "no token closes the message, so the model would not learn to stop");
    }
    return {span.begin, static_cast<size_t>(shown.data() - full_.text.data()) + shown.size()};
  }

  void verify(size_t i, const TextSpan& span) const {
    Json message = input_.messages[i];
    const Json* content = text_of(message);
    if (!content) return;
    const std::string_view text = std::string_view(full_.text).substr(span.begin, span.end - span.begin);
    const std::string wanted(trimmed(content->get_ref<const std::string&>()));
    if (text.find(wanted) == std::string_view::npos)
      impossible(i, "its content is not in the text as it was given");
  }

  const Tokenizer& tokenizer_;
  const ChatTemplate& template_;
  const ChatInput& input_;
  Rendered full_;
  Encoding encoding_;
};

}  // namespace

MaskedConversation tokenize_conversation(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                         const ChatInput& input) {
  if (!input.messages.is_array()) throw Error(ErrorKind::format, "the messages must be an array");
  return Conversation(tokenizer, chat_template, input).run();
}

std::optional<int32_t> end_of_turn_id(const Tokenizer& tokenizer, const ChatTemplate& chat_template) {
  ChatInput trial;
  for (const char* role : {"user", "assistant"})
    trial.messages.push_back(Json{{"role", role}, {"content", "a"}});
  try {
    const MaskedConversation c = tokenize_conversation(tokenizer, chat_template, trial);
    for (size_t i = c.target.size(); i-- > 0;) {  // white space may follow the ending
      const int32_t id = c.input_ids[i];
      if (c.target[i] && (tokenizer.is_added(id) || id == tokenizer.eos_id())) return id;
    }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::format) throw;
  }
  return std::nullopt;
}

std::vector<int32_t> tokenize_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                     const ChatInput& input) {
  ChatInput asked = input;
  asked.add_generation_prompt = true;
  std::vector<int32_t> ids =
      tokenizer.encode(chat_template.render(chat_variables(tokenizer, asked)).text, false);
  if (tokenizer.adds_bos() && (ids.empty() || ids[0] != *tokenizer.bos_id())) {
    ids.insert(ids.begin(), *tokenizer.bos_id());
  }
  return ids;
}

}  // namespace lorikeet
