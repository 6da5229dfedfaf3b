// GGUF names a pre-tokenizer and does not describe it; this is what the names mean, as in the tokenizer.json
// of the models that llama.cpp's converter recognises by them.
#include <algorithm>

#include "core/error.h"
#include "text/tokenizer_parts.h"

namespace lorikeet::text {
namespace {

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepSeekWords =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Pre {
  const char* name;
  std::vector<const char*> (*steps)();  // regular expressions, applied in order
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
  bool written = false;  // the name to write where several mean the same
};

std::vector<const char*> gpt2() { return {kGpt2}; }
std::vector<const char*> single_digits() { return {R"(\p{N})", kGpt2}; }
std::vector<const char*> llama3() { return {kLlama3}; }
std::vector<const char*> qwen2() { return {kQwen2}; }
std::vector<const char*> qwen35() { return {kQwen35}; }
std::vector<const char*> gpt4o() { return {kGpt4o}; }
std::vector<const char*> tekken() { return {kTekken}; }
std::vector<const char*> falcon() { return {R"([\p{P}$+<=>^~|`]+)", kGpt2, "[0-9][0-9][0-9]"}; }
std::vector<const char*> unnamed() { return {R"([\p{P}$+<=>^~|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}; }
std::vector<const char*> deepseek3() { return {R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+", kDeepSeekWords}; }

constexpr Pre kPres[] = {
    {"command-r", single_digits, true},
    {"dbrx", llama3, false, true, true},
    {"deepseek-r1-qwen", qwen2, true},
    {"deepseek-v3", deepseek3},
    {"default", unnamed},
    {"falcon", falcon},
    {"falcon3", llama3, false, true, true},
    {"gpt-2", gpt2, false, false, false, true},
    {"gpt-4o", gpt4o},
    {"jais", gpt2},
    {"llama-bpe", llama3, false, true, true, true},
    {"llama-v3", llama3, false, true, true},
    {"llama3", llama3, false, true, true},
    {"mpt", gpt2},
    {"olmo", gpt2, true},
    {"phi-2", gpt2},
    {"qwen2", qwen2, true, false, false, true},
    {"qwen35", qwen35, true},
    {"refact", single_digits},
    {"smaug-bpe", llama3, false, true, true},
    {"smollm", single_digits, false, false, false, true},
    {"stablelm2", qwen2},
    {"starcoder", single_digits},
    {"tekken", tekken, false, true, true},
};

}  // namespace

const char* const kGpt2Pattern = kGpt2;

std::string find_gguf_pre(const std::vector<std::string>& patterns, bool nfc, bool ignore_merges,
                          const std::string& where) {
  const Pre* found = nullptr;
  for (const Pre& pre : kPres) {
    const std::vector<const char*> steps = pre.steps();
    if (pre.nfc == nfc && pre.ignore_merges == ignore_merges &&
        std::equal(steps.begin(), steps.end(), patterns.begin(), patterns.end()) && (!found || pre.written))
      found = &pre;
  }
  if (found) return found->name;
  throw Error(
      ErrorKind::unsupported,
      fmt::format("GGUF has no name for a pre-tokenizer that splits by {}", fmt::join(patterns, " then ")),
      where, "write a Hugging Face folder (--format safetensors)");
}

GgufPre make_gguf_pre(const std::string& name, const std::string& where) {
  std::string known;
  for (const Pre& pre : kPres) {
    if (name != pre.name) {
      known += known.empty() ? pre.name : fmt::format(", {}", pre.name);
      continue;
    }
    std::vector<PreTokenizerPtr> steps;
    GgufPre out;
    out.nfc = pre.nfc;
    for (const char* step : pre.steps()) {
      steps.push_back(make_regex_split(step, name));
      out.patterns.emplace_back(step);
    }
    steps.push_back(make_byte_level(false, false));
    out.pre_tokenizer = make_pre_tokenizer_sequence(std::move(steps));
    if (pre.nfc) out.normalizer = make_nfc();
    out.ignore_merges = pre.ignore_merges;
    out.add_bos = pre.add_bos;
    return out;
  }
  throw Error(ErrorKind::unsupported, fmt::format("the pre-tokenizer '{}' is not supported", name), where,
              fmt::format("known are: {}", known));
}

}  // namespace lorikeet::text
