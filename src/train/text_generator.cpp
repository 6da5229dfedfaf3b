#include "train/text_generator.h"

#include <algorithm>
#include <filesystem>

#include "core/system_memory.h"
#include "text/assistant_mask.h"
#include "train/use.h"

namespace lorikeet {

namespace {

LoadRequest use_request(const RunConfig& config, const ModelFiles& files, int64_t max_positions) {
  LoadRequest r = load_request(config);
  r.new_adapter.reset();  // no adapter named: the bare base
  const int64_t most = files.spec().max_position_embeddings;
  r.positions = max_positions > 0 ? std::min(max_positions, most) : most;
  return r;
}

ModelFiles open_checked(const RunConfig& config) {
  ModelFiles files = ModelFiles::open(config.model);
  check_fingerprint(config, files);
  return files;
}

}  // namespace

ChatTemplate named_chat_template(const std::string& name_or_file) {
  if (const auto source = built_in_chat_template(name_or_file)) return ChatTemplate(*source, name_or_file);
  if (std::filesystem::exists(name_or_file)) return ChatTemplate(read_text_file(name_or_file), name_or_file);
  std::string names;
  for (const std::string& n : built_in_chat_template_names()) names += (names.empty() ? "" : ", ") + n;
  throw Error(ErrorKind::usage,
              fmt::format("chat_template \"{}\" is neither a file nor a built-in template", name_or_file),
              "chat_template", "give a Jinja file or one of: " + names);
}

std::optional<ChatTemplate> select_chat_template(const std::optional<std::string>& key,
                                                 const Tokenizer& tokenizer) {
  if (!key) {
    if (!tokenizer.chat_template()) return std::nullopt;
    return ChatTemplate(*tokenizer.chat_template(), "the model's chat template");
  }
  return named_chat_template(*key);
}

uint64_t generation_budget(const RunConfig& config) {
  const uint64_t free = available_memory();
  if (!config.memory_limit) return free - free / 10;
  const uint64_t held = resident_bytes();
  return *config.memory_limit > held ? std::min(*config.memory_limit - held, free) : 0;
}

TextGenerator::State::State(const RunConfig& given, int64_t max_positions)
    : config(config_for_use(given)),
      files(open_checked(config)),
      tokenizer(files.tokenizer()),
      chat_template(select_chat_template(config.chat_template, tokenizer)),
      end_of_turn(chat_template ? end_of_turn_id(tokenizer, *chat_template) : std::nullopt),
      loaded(files, use_request(config, files, max_positions)),
      generator(loaded.model(), loaded.threads(), generation_budget(config)) {}

void TextGenerator::State::use_adapter(const RunConfig& next) {
  check_fingerprint(next, files);
  loaded.use_adapter(*next.adapter);
  config = next;
}

const ChatTemplate& TextGenerator::State::require_template() const {
  if (chat_template) return *chat_template;
  throw Error(ErrorKind::usage, fmt::format("\"{}\" has no chat template", files.name()), "chat_template",
              "say --chat-template with a Jinja file or a built-in name, e.g. chatml");
}

GenerateOptions TextGenerator::State::options(const GenerationSettings& s) const {
  GenerateOptions o;
  o.max_new_tokens = s.max_new_tokens;
  o.sampling = {s.temperature, s.top_p, s.top_k, s.seed};
  o.stop_ids = files.eos_token_ids();
  if (end_of_turn) o.stop_ids.push_back(*end_of_turn);
  return o;
}

std::vector<GeneratedText> TextGenerator::State::run(const std::vector<std::vector<int32_t>>& prompts,
                                                     const GenerationSettings& s,
                                                     const TextCallback& on_text) {
  std::vector<StreamDecoder> streams;
  if (on_text) streams.assign(prompts.size(), StreamDecoder(tokenizer, /*skip_special_tokens=*/true));
  const TokenCallback on_token = [&](size_t row, int32_t id) {
    const std::string piece = streams[row].push(id);
    return piece.empty() || on_text(row, piece) ? AfterToken::go_on : AfterToken::end_run;
  };
  const std::vector<Completion> done =
      generator.run(prompts, options(s), on_text ? on_token : TokenCallback());
  std::vector<GeneratedText> out;
  for (size_t i = 0; i < done.size(); ++i) {
    out.push_back({tokenizer.decode(done[i].ids, /*skip_special_tokens=*/true), done[i].prompt_tokens,
                   done[i].ids, name_of(done[i].finish_reason)});
    if (!on_text) continue;
    const std::string rest = streams[i].finish();
    if (!rest.empty()) on_text(i, rest);
  }
  return out;
}

TextGenerator::TextGenerator(const RunConfig& config, int64_t max_positions)
    : state_(std::make_unique<State>(config, max_positions)) {}
TextGenerator::~TextGenerator() = default;
TextGenerator::TextGenerator(TextGenerator&&) noexcept = default;
TextGenerator& TextGenerator::operator=(TextGenerator&&) noexcept = default;

const RunConfig& TextGenerator::config() const { return state_->config; }

std::vector<GeneratedText> TextGenerator::complete(const std::vector<std::string>& prompts,
                                                   const GenerationSettings& settings,
                                                   const TextCallback& on_text) {
  std::vector<std::vector<int32_t>> ids;
  for (const std::string& p : prompts)
    ids.push_back(state_->tokenizer.encode(p, /*add_special_tokens=*/true));
  return state_->run(ids, settings, on_text);
}

std::vector<GeneratedText> TextGenerator::reply(const std::vector<Conversation>& conversations,
                                                const GenerationSettings& settings,
                                                const TextCallback& on_text) {
  const ChatTemplate& chat_template = state_->require_template();
  std::vector<std::vector<int32_t>> ids;
  for (const Conversation& c : conversations) {
    ChatInput input;
    input.add_generation_prompt = true;
    if (state_->config.system_prompt && (c.empty() || c.front().role != "system"))
      input.messages.push_back({{"role", "system"}, {"content", *state_->config.system_prompt}});
    for (const ChatMessage& m : c) input.messages.push_back({{"role", m.role}, {"content", m.content}});
    ids.push_back(tokenize_prompt(state_->tokenizer, chat_template, input));
  }
  return state_->run(ids, settings, on_text);
}

}  // namespace lorikeet
