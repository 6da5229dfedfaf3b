// lorikeet generate: completes one prompt, or a file of prompts or conversations.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "cli/command.h"
#include "cli/generation_options.h"
#include "cli/json_lines.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/use_options.h"
#include "core/error.h"
#include "text/assistant_mask.h"
#include "train/text_generator.h"
#include "train/use.h"

namespace lorikeet::cli {
namespace {

constexpr size_t kRowsTogether = 256;  // answers of a long file come while it runs

struct GenerateOptionsOfCommand {
  std::optional<std::string> prompt;
  std::string messages, input;
};

std::span<const Key<GenerateOptionsOfCommand>> table() {
  using O = GenerateOptionsOfCommand;
  static const std::array rows{
      key<&O::prompt>("prompt", "input", "raw text to continue"),
      key<&O::messages>("messages", "input",
                        "JSONL file of {\"messages\": [...]}, answered through the chat template")
          .path()
          .shown_default("none"),
      key<&O::input>("input", "input", "JSONL file of {\"prompt\": \"raw text\"}")
          .path()
          .shown_default("none"),
  };
  return rows;
}

const Json& member(const Json& row, const char* name, const std::string& where) {
  if (!row.is_object() || !row.contains(name))
    throw Error(ErrorKind::format, fmt::format("the row has no \"{}\"", name), where,
                fmt::format("write {{\"{}\": ...}} on each line", name));
  return row[name];
}

std::vector<int32_t> conversation_ids(const TextGenerator::State& state, const Json& row,
                                      const std::string& where) {
  ChatInput input;
  input.add_generation_prompt = true;
  input.messages = member(row, "messages", where);
  if (!input.messages.is_array() || input.messages.empty())
    throw Error(ErrorKind::format, "messages is not a list of messages", where,
                "write {\"messages\": [{\"role\": ..., \"content\": ...}]}");
  for (const auto& [name, value] : row.items()) {
    if (name == "tools")
      input.tools = value;
    else if (name != "messages")
      input.extra[name] = value;
  }
  const Json& first = input.messages.front();
  const bool has_system = first.is_object() && first.value("role", Json()) == "system";
  if (state.config.system_prompt && !has_system)
    input.messages.insert(input.messages.begin(),
                          Json{{"role", "system"}, {"content", *state.config.system_prompt}});
  return tokenize_prompt(state.tokenizer, state.require_template(), input);
}

std::vector<std::vector<int32_t>> read_prompts(const TextGenerator::State& state,
                                               const GenerateOptionsOfCommand& own) {
  std::vector<std::vector<int32_t>> prompts;
  const auto raw = [&](const std::string& text) {
    prompts.push_back(state.tokenizer.encode(text, /*add_special_tokens=*/true));
  };
  if (own.prompt) {
    raw(*own.prompt);
  } else if (!own.input.empty()) {
    for_each_json_line(own.input, [&](const Json& row, const std::string& where) {
      raw(json_string(member(row, "prompt", where), where));
    });
  } else {
    for_each_json_line(own.messages, [&](const Json& row, const std::string& where) {
      try {
        prompts.push_back(conversation_ids(state, row, where));
      } catch (const Error& error) {
        throw Error(error.kind(), error.message(), where, error.fix());
      }
    });
  }
  return prompts;
}

/// `adapter` is named where several take turns.
Json as_json(const GeneratedText& text, const std::string& adapter) {
  Json out = Json::object();
  if (!adapter.empty()) out["adapter"] = adapter;
  out["text"] = text.text;
  out["prompt_tokens"] = text.prompt_tokens;
  out["tokens"] = text.tokens;
  out["finish_reason"] = text.finish_reason;
  return out;
}

/// Writes the answers as they come, one prompt streamed to a terminal, else a line each.
void answer(TextGenerator::State& state, const GenerateOptionsOfCommand& own,
            const GenerationSettings& settings, const std::string& adapter, bool json) {
  const std::vector<std::vector<int32_t>> prompts = read_prompts(state, own);
  if (!json && !adapter.empty()) out().line(fmt::format("--- {}", adapter));
  if (own.prompt && !json && is_terminal(STDOUT_FILENO)) {
    state.run(prompts, settings, [](size_t, const std::string& piece) {
      out().write(piece);
      out().flush();
      return true;
    });
    out().line("");
    return;
  }
  for (size_t begin = 0; begin < prompts.size(); begin += kRowsTogether) {
    const size_t end = std::min(begin + kRowsTogether, prompts.size());
    for (const GeneratedText& text : state.run({prompts.begin() + static_cast<std::ptrdiff_t>(begin),
                                                prompts.begin() + static_cast<std::ptrdiff_t>(end)},
                                               settings, {})) {
      if (json)
        out().json(as_json(text, adapter));
      else
        out().line(text.text);
    }
    out().flush();
  }
}

}  // namespace

int run_generate(const std::vector<std::string>& arguments) {
  CommandLine line("generate",
                   "generate --model M [--adapter A ...] (--prompt TEXT | --messages FILE.jsonl | --input "
                   "FILE.jsonl) [--json]",
                   "Completes text. --prompt and --input are raw text; --messages applies the chat template. "
                   "With --adapter, the model and its quantization come from the adapter's run.yaml; several "
                   "adapters answer one after the other.");
  RunConfig config;
  AdapterList adapters;
  GenerateOptionsOfCommand own;
  GenerationSettings settings;
  line.options.add(own, table());
  line.options.add(settings, generation_keys());
  add_use_keys(line.options, config, &adapters);
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  if (own.prompt.has_value() + !own.messages.empty() + !own.input.empty() != 1)
    throw Error(ErrorKind::usage, "give exactly one of --prompt, --messages and --input", "lorikeet generate",
                "see lorikeet generate --help");
  check_use(config, "generate", adapters);

  const std::vector<RunConfig> turns = configs_for_use(config, adapters.adapter);
  const TextGenerator generator(turns.front());
  for (size_t i = 0; i < turns.size(); ++i) {
    if (i > 0) generator.state().use_adapter(turns[i]);
    answer(generator.state(), own, settings, turns.size() > 1 ? *turns[i].adapter : std::string(),
           line.common.json);
  }
  return 0;
}

}  // namespace lorikeet::cli
