#include "train/use.h"

#include <filesystem>

#include "core/error.h"

namespace lorikeet {

namespace fs = std::filesystem;

namespace {

/// The run.yaml that belongs to an adapter folder: its own, or that of the run above a checkpoint. Empty if
/// there is none.
std::string run_yaml_of(const std::string& folder) {
  const fs::path own = fs::path(folder) / "run.yaml";
  if (fs::exists(own)) return own.string();
  const fs::path absolute = fs::absolute(folder).lexically_normal();
  const fs::path trimmed = absolute.has_filename() ? absolute : absolute.parent_path();
  const fs::path above = trimmed.parent_path() / "run.yaml";
  if (trimmed.filename().string().rfind("checkpoint-", 0) == 0 && fs::exists(above)) return above.string();
  return {};
}

}  // namespace

RunConfig config_for_use(const RunConfig& given) {
  RunConfig c = given;
  const std::string yaml = given.adapter ? run_yaml_of(*given.adapter) : std::string();
  if (!yaml.empty()) {
    RunConfig trained;
    apply_yaml_file(trained, yaml);
    const auto take = [&](const char* key, auto field) {
      if (!given.is_given(key)) c.*field = trained.*field;
    };
    if (given.model.empty()) c.model = trained.model;
    take("method", &RunConfig::method);
    take("base_format", &RunConfig::base_format);
    take("bnb_4bit_quant_type", &RunConfig::bnb_4bit_quant_type);
    take("bnb_4bit_use_double_quant", &RunConfig::bnb_4bit_use_double_quant);
    take("bnb_4bit_blocksize", &RunConfig::bnb_4bit_blocksize);
    take("compute_dtype", &RunConfig::compute_dtype);
    take("chat_template", &RunConfig::chat_template);
    take("system_prompt", &RunConfig::system_prompt);
    c.recorded = trained.recorded;
  }
  if (c.model.empty())
    throw Error(ErrorKind::usage,
                given.adapter ? "the adapter's folder has no run.yaml that names its base model"
                              : "no model is given",
                given.adapter.value_or(""), "say --model <folder or .gguf file>");
  return c;
}

void check_fingerprint(const RunConfig& used, const ModelFiles& files) {
  if (used.allow_other_base) return;
  const auto it = used.recorded.find(kFingerprintKey);
  if (it == used.recorded.end() || it->second == files.fingerprint()) return;
  throw Error(ErrorKind::usage,
              fmt::format("this adapter was trained on another base than \"{}\"", files.name()),
              used.adapter.value_or(""),
              "use the base of its run.yaml, or say --allow-other-base if you know that it fits");
}

}  // namespace lorikeet
