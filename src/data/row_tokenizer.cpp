#include "data/row_tokenizer.h"

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace lorikeet {

namespace {

/// Adds where the row stands to whatever goes wrong inside the text layer.
template <class F>
auto at_row(const RowPlace& place, const F& f) {
  try {
    return f();
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("row {}: {}", place.row, e.message()),
                e.where().empty() ? place.text() : place.text(e.where()), e.fix());
  }
}

void put_bos(const Tokenizer& t, std::vector<int32_t>& ids) {
  if (t.adds_bos() && t.bos_id() && (ids.empty() || ids.front() != *t.bos_id()))
    ids.insert(ids.begin(), *t.bos_id());
}

bool is_blank(const Json& message) {
  const Json::const_iterator content = message.find("content");
  if (message.contains("tool_calls") && !message["tool_calls"].is_null()) return false;
  if (content == message.end() || !content->is_string()) return true;
  const std::string& text = content->get_ref<const std::string&>();
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

/// Why none of the messages from `first` on can be learned; empty if one can.
std::string nothing_to_learn(const Json& messages, size_t first) {
  size_t assistants = 0;
  for (size_t i = first; i < messages.size(); ++i) {
    if (messages[i]["role"] != "assistant") continue;
    ++assistants;
    if (!is_blank(messages[i])) return {};
  }
  if (assistants == 0) return "it has no assistant turn";
  return assistants == 1 ? "its only assistant turn is empty" : "all its assistant turns are empty";
}

}  // namespace

int64_t Sample::target_count() const {
  return std::count_if(labels.begin(), labels.end(), [](int32_t label) { return label != kNoTarget; });
}

RowTokenizer::RowTokenizer(const Tokenizer* tokenizer, const ChatTemplate* chat_template,
                           RowTokenizerOptions options)
    : tokenizer_(tokenizer), template_(chat_template), options_(std::move(options)) {}

const Tokenizer& RowTokenizer::tokenizer(const RowPlace& place) const {
  if (!tokenizer_)
    throw Error(ErrorKind::usage, "the data is text, but the model has no tokenizer", place.text(),
                "put tokenizer.json or tokenizer.model into the model folder, or give tokenized data");
  return *tokenizer_;
}

const ChatTemplate& RowTokenizer::chat_template(const RowPlace& place) const {
  if (!template_)
    throw Error(ErrorKind::usage, "the data holds conversations, but the model has no chat template",
                place.text(), "set chat_template to a Jinja file, chatml, llama3 or alpaca");
  return *template_;
}

ChatInput RowTokenizer::chat_input(const Example& example) const {
  ChatInput input;
  input.messages = example.messages;
  input.tools = example.tools;
  if (options_.system_prompt && (input.messages.empty() || input.messages[0]["role"] != "system")) {
    Json system = Json::object();
    system["role"] = "system";
    system["content"] = *options_.system_prompt;
    input.messages.insert(input.messages.begin(), std::move(system));
  }
  return input;
}

TokenizedRow RowTokenizer::tokenize(const Example& example, const RowPlace& place) const {
  TokenizedRow row;
  switch (example.kind) {
    case Example::Kind::conversation:
      row = conversation(example, place);
      break;
    case Example::Kind::completion:
      row = completion(example, place);
      break;
    case Example::Kind::tokens:
      row.sample.input_ids = example.input_ids;
      row.sample.labels = example.labels;
      break;
  }
  finish(row, place);
  return row;
}

TokenizedRow RowTokenizer::conversation(const Example& example, const RowPlace& place) const {
  const Tokenizer& t = tokenizer(place);
  const ChatTemplate& chat = chat_template(place);
  const ChatInput input = chat_input(example);
  const size_t added = input.messages.size() - example.messages.size();
  const size_t first = options_.completion_only_loss ? example.prompt_messages + added : 0;
  TokenizedRow row;
  std::vector<int32_t>& ids = row.sample.input_ids;
  std::vector<bool> target;
  if (options_.assistant_only_loss) {
    row.without_targets = nothing_to_learn(input.messages, first);
    if (!row.without_targets.empty()) return row;
    MaskedConversation masked = at_row(place, [&] { return tokenize_conversation(t, chat, input); });
    ids = std::move(masked.input_ids);
    target = std::move(masked.target);
  } else {
    ids = at_row(place, [&] { return t.encode(chat.render(chat_variables(t, input)).text, false); });
    put_bos(t, ids);
    target.assign(ids.size(), true);
  }
  if (first > 0) {
    ChatInput prompt = input;
    prompt.messages.erase(prompt.messages.begin() + static_cast<ptrdiff_t>(first), prompt.messages.end());
    const std::vector<int32_t> before = at_row(place, [&] { return tokenize_prompt(t, chat, prompt); });
    if (before.size() > ids.size() || !std::equal(before.begin(), before.end(), ids.begin()))
      throw Error(
          ErrorKind::format,
          fmt::format("row {}: the chat template renders the prompt differently when the completion follows",
                      place.row),
          place.text(), "give the row as \"messages\", or another chat_template");
    std::fill(target.begin(), target.begin() + static_cast<ptrdiff_t>(before.size()), false);
  }
  row.sample.labels.resize(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) row.sample.labels[i] = target[i] ? ids[i] : kNoTarget;
  return row;
}

std::vector<int32_t> RowTokenizer::prompt_ids(const std::string& text) const {
  std::vector<int32_t> ids = tokenizer_->encode(text, false);
  put_bos(*tokenizer_, ids);
  return ids;
}

TokenizedRow RowTokenizer::completion(const Example& example, const RowPlace& place) const {
  const Tokenizer& t = tokenizer(place);
  TokenizedRow row;
  if (example.completion.empty()) {
    row.without_targets = example.prompt.empty() ? "its text is empty" : "its completion is empty";
    return row;
  }
  const std::optional<int32_t> eos = options_.eos_id ? options_.eos_id : t.eos_id();
  if (!eos)
    throw Error(ErrorKind::format, "the tokenizer has no end-of-text token, so a completion could never end",
                place.text(),
                "name eos_token in tokenizer_config.json or eos_token_id in generation_config.json");
  std::vector<int32_t>& ids = row.sample.input_ids;
  ids = prompt_ids(example.prompt + example.completion);
  size_t learned_from = 0;
  if (!example.prompt.empty()) {
    // Generation encodes the prompt alone. Where a token of the whole text reaches over the border, what
    // generation will see is the prompt's own tokens, so these are trained, followed by the completion's.
    std::vector<int32_t> prompt = prompt_ids(example.prompt);
    if (prompt.size() >= ids.size() || !std::equal(prompt.begin(), prompt.end(), ids.begin())) {
      const std::vector<int32_t> rest = t.encode(example.completion, false);
      ids = prompt;
      ids.insert(ids.end(), rest.begin(), rest.end());
    }
    learned_from = prompt.size();
  }
  if (ids.back() != *eos) ids.push_back(*eos);
  row.sample.labels = ids;
  if (options_.completion_only_loss)
    std::fill(row.sample.labels.begin(), row.sample.labels.begin() + static_cast<ptrdiff_t>(learned_from),
              kNoTarget);
  return row;
}

void RowTokenizer::finish(TokenizedRow& row, const RowPlace& place) const {
  std::vector<int32_t>& ids = row.sample.input_ids;
  std::vector<int32_t>& labels = row.sample.labels;
  row.sample.row_id = place.row - 1;
  for (const std::vector<int32_t>* list : {&ids, &labels})
    for (size_t i = 0; i < list->size(); ++i)
      if ((*list)[i] != kNoTarget && ((*list)[i] < 0 || (*list)[i] >= options_.vocab_size))
        throw Error(ErrorKind::format,
                    fmt::format("row {}: token {} is id {}, the model knows ids below {}", place.row, i,
                                (*list)[i], options_.vocab_size),
                    place.text(), "use the tokenizer that belongs to the model");
  if (!labels.empty()) labels[0] = kNoTarget;  // nothing predicts a row's first token
  const bool had_targets = row.sample.target_count() > 0;
  const auto limit = static_cast<size_t>(options_.max_length);
  if (ids.size() > limit) {
    row.cut = static_cast<int64_t>(ids.size() - limit);
    ids.resize(limit);
    labels.resize(limit);
  }
  if (row.sample.target_count() > 0 || !row.without_targets.empty()) return;
  row.without_targets = had_targets
                            ? fmt::format("all its targets lie beyond max_length {}", options_.max_length)
                        : ids.size() <= 1 ? "it has fewer than two tokens"
                                          : "all its labels are ignored";
}

CompletionCase RowTokenizer::completion_case(const Example& example, const RowPlace& place) const {
  const auto refuse = [&](const char* reason) -> CompletionCase {
    throw Error(
        ErrorKind::usage,
        fmt::format("exact match needs a turn or completion to compare, but row {} {}", place.row, reason),
        place.text(), "leave out --exact-match, or give data of messages or prompt and completion");
  };
  if (example.kind == Example::Kind::tokens) return refuse("is tokenized");
  CompletionCase c;
  if (example.kind == Example::Kind::completion) {
    if (example.prompt.empty()) return refuse("is plain text");
    tokenizer(place);
    c.prompt = prompt_ids(example.prompt);
    c.reference = example.completion;
    return c;
  }
  ChatInput input = chat_input(example);
  while (!input.messages.empty() && input.messages.back()["role"] != "assistant")
    input.messages.erase(input.messages.size() - 1);
  if (input.messages.empty()) return refuse("has no assistant turn");
  const Json content = input.messages.back().value("content", Json());
  if (!content.is_string()) return refuse("ends with a tool call without text");
  c.reference = content.get<std::string>();
  input.messages.erase(input.messages.size() - 1);
  c.prompt = at_row(place, [&] { return tokenize_prompt(tokenizer(place), chat_template(place), input); });
  return c;
}

}  // namespace lorikeet
