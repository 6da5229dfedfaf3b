// lorikeet inspect adapter: the settings and sizes of a PEFT adapter, and whether it fits a model.
#include <cmath>
#include <map>

#include "cli/command.h"
#include "cli/inspect_commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/text_format.h"
#include "core/error.h"
#include "export/adapter_options.h"
#include "model/files.h"
#include "peft/adapter_files.h"
#include "train/loaded_model.h"

namespace lorikeet::cli {
namespace {

/// A and B of the modules of one name, e.g. all q_proj.
struct Group {
  int64_t modules = 0, elements = 0;
  double a_square = 0, b_square = 0;
};

struct Facts {
  AdapterConfig config;
  int64_t tensors = 0, elements = 0, zero_b = 0;
  std::map<std::string, Group> groups;
  std::vector<std::string> not_finite;
};

std::string selection_text(const ModuleSelection& selection) {
  if (const auto* text = std::get_if<std::string>(&selection)) return *text;
  std::string out;
  for (const std::string& name : std::get<std::vector<std::string>>(selection))
    out += (out.empty() ? "" : ", ") + name;
  return out;
}

/// "model.layers.0.self_attn.q_proj.lora_A.weight" -> "q_proj"
std::string module_of(const std::string& name) {
  const size_t lora = name.find(".lora_");
  if (lora == std::string::npos) return name;
  const size_t dot = name.rfind('.', lora - 1);
  return name.substr(dot == std::string::npos ? 0 : dot + 1, lora - (dot == std::string::npos ? 0 : dot + 1));
}

Facts read_facts(const std::string& folder) {
  Facts facts;
  facts.config = AdapterConfig::read(folder);
  for (const AdapterTensor& t : read_adapter_tensors(folder)) {
    double square = 0;
    for (const float x : t.values) square += static_cast<double>(x) * x;
    const bool is_a = t.name.find(".lora_A.") != std::string::npos;
    Group& group = facts.groups[module_of(t.name)];
    group.modules += is_a ? 1 : 0;
    group.elements += static_cast<int64_t>(t.values.size());
    (is_a ? group.a_square : group.b_square) += square;
    facts.zero_b += !is_a && square == 0 ? 1 : 0;
    facts.tensors += 1;
    facts.elements += static_cast<int64_t>(t.values.size());
    if (!std::isfinite(square)) facts.not_finite.push_back(t.name);
  }
  return facts;
}

/// Loads the adapter onto the sizes of the model; throws what does not fit.
void check_fit(const std::string& adapter, const std::string& model) {
  const ModelFiles files = ModelFiles::open(model);
  LoadRequest request;
  request.adapter = adapter;
  request.base_format = BaseFormat::dense;
  request.compute_dtype = ComputeDtype::float32;
  request.threads = 1;
  request.positions = 1;
  const LoadedModel sizes(files, request, /*dry=*/true);
  const std::vector<AdapterTensor> tensors = read_adapter_for(files, adapter);
  TrainableStore store(DType::f32);
  for (const NamedTensor& t : sizes.trainable().tensors()) {
    NamedTensor own = t;
    own.parameter = store.declare(t.name, ParameterKind::lora_a, {t.rows, t.cols}, 1);
    own.row = own.col = 0;
    store.declare_tensor(own);
  }
  store.allocate(/*with_gradients=*/false, /*dry=*/false);
  load_adapter(store, tensors, adapter, files.spec().num_hidden_layers,
               AdapterConfig::read(adapter).base_model_name_or_path);
}

Json as_json(const Facts& f, const std::string& folder, bool fits) {
  const TargetOptions& t = f.config.targets;
  Json modules = Json::object();
  for (const auto& [name, g] : f.groups)
    modules[name] = {{"modules", g.modules},
                     {"parameters", g.elements},
                     {"norm_a", std::sqrt(g.a_square)},
                     {"norm_b", std::sqrt(g.b_square)}};
  Json json{{"path", folder},
            {"base_model", f.config.base_model_name_or_path},
            {"r", t.r},
            {"lora_alpha", t.alpha},
            {"lora_dropout", f.config.lora_dropout},
            {"use_rslora", t.use_rslora},
            {"use_dora", f.config.use_dora},
            {"target_modules", selection_text(t.targets)},
            {"tensors", f.tensors},
            {"parameters", f.elements},
            {"modules", modules},
            {"ignored_fields", f.config.ignored}};
  if (fits) json["fits"] = true;
  return json;
}

void print(const Facts& f, const std::string& folder, const std::string& model) {
  const TargetOptions& t = f.config.targets;
  out().line(fmt::format("adapter   {} · {} parameters in {} tensors", printable(folder),
                         in_millions(f.elements), with_commas(f.tensors)));
  out().line(fmt::format("settings  r {}, alpha {:g}, dropout {:g}{}{}", t.r, t.alpha, f.config.lora_dropout,
                         t.use_rslora ? ", rsLoRA" : "", f.config.use_dora ? ", DoRA" : ""));
  out().line(fmt::format("targets   {}", printable(selection_text(t.targets))));
  out().line(fmt::format("base      {}", f.config.base_model_name_or_path.empty()
                                             ? "not named"
                                             : printable(f.config.base_model_name_or_path)));
  if (!model.empty()) out().line(fmt::format("fits      {}", printable(model)));
  if (f.zero_b > 0) out().line(fmt::format("untrained {} of the B matrices are zero", with_commas(f.zero_b)));
  for (const std::string& name : f.not_finite)
    out().line(fmt::format("broken    {} holds values that are not finite", printable(name)));
  out().line("");
  std::vector<std::vector<std::string>> rows{{"module", "count", "parameters", "norm of A", "norm of B"}};
  for (const auto& [name, g] : f.groups)
    rows.push_back({printable(name), with_commas(g.modules), with_commas(g.elements),
                    fmt::format("{:.4g}", std::sqrt(g.a_square)),
                    fmt::format("{:.4g}", std::sqrt(g.b_square))});
  out().write(table_text(rows, "lrrrr"));
}

}  // namespace

int run_inspect_adapter(const std::vector<std::string>& arguments) {
  CommandLine line("inspect adapter", "inspect adapter --adapter A [--model M] [--json]",
                   "Shows a PEFT adapter; with --model also whether every tensor fits that model.");
  RunConfig config;
  line.options.add_run_keys(config, {"adapter", "model"});
  line.options.show_default("model", "none");
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.adapter.value_or(""), "--adapter", "inspect adapter");
  const Facts facts = read_facts(*config.adapter);
  if (!config.model.empty()) check_fit(*config.adapter, config.model);
  if (line.common.json)
    out().json(as_json(facts, *config.adapter, !config.model.empty()));
  else
    print(facts, *config.adapter, config.model);
  return 0;
}

}  // namespace lorikeet::cli
