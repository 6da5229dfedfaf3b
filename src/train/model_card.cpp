#include "train/model_card.h"

#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "io/json.h"

namespace lorikeet {

namespace {

std::string data_row(const char* name, const DataFacts& d) {
  std::string files;
  for (const std::string& f : d.files)
    files += (files.empty() ? "" : ", ") + std::filesystem::path(f).filename().string();
  return fmt::format("| {} | {} ({}): {} rows, {} tokens, {} of them targets |\n", name, files, d.format,
                     d.rows, d.tokens, d.target_tokens);
}

}  // namespace

std::string model_card(const RunFacts& f, const RunConfig& c, const RunResult& r) {
  const bool full = c.method == Method::full;
  std::string text = "---\n";
  text += fmt::format("base_model: {}\n", to_text(Json(c.model)));  // a JSON string is a YAML string
  text += full ? "library_name: transformers\n" : "library_name: peft\n";
  text += "pipeline_tag: text-generation\ntags:\n- lorikeet\n";
  text += full ? "" : "- lora\n";
  text += fmt::format("---\n\n# {} of {}\n\n", full ? "Fine-tuned weights" : "Adapter", f.model_name);
  if (!full)
    text +=
        "Load it with PEFT:\n\n```python\nfrom peft import PeftModel\nfrom transformers import "
        "AutoModelForCausalLM\n\n"
        "model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_model), "
        "folder)\n```\n\n";
  text += "| | |\n| --- | --- |\n";
  text += fmt::format("| method | {}, base {}, computed in {} |\n", name_of(c.method), f.base_format,
                      f.compute_dtype);
  if (!full)
    text += fmt::format("| adapter | r {}, alpha {:g}, dropout {:g} on {} layers, {} parameters |\n",
                        c.lora_r, c.lora_alpha, c.lora_dropout, f.adapted_modules, f.trainable);
  text += data_row("data", f.data);
  if (f.eval_data) text += data_row("held out", *f.eval_data);
  text += fmt::format("| steps | {} of {} x {} rows |\n", r.steps, c.gradient_accumulation_steps,
                      c.per_device_train_batch_size);
  text += fmt::format(
      "| optimizer | {}, learning rate {:g}, {}, {} warm-up steps, weight decay {:g}, clipping {:g} |\n",
      name_of(c.optim), c.learning_rate, name_of(c.lr_scheduler_type), f.warmup_steps, c.weight_decay,
      c.max_grad_norm);
  text += fmt::format("| loss | {:.4f} at first, {:.4f} at last |\n", r.first_loss, r.last_loss);
  if (r.eval_loss)
    text +=
        fmt::format("| held-out loss | {:.4f} (perplexity {:.3f}) |\n", *r.eval_loss, std::exp(*r.eval_loss));
  return text +
         fmt::format(
             "| time | {:.0f} s, {:.0f} tokens/s, peak {:.2f} GiB |\n\nAll settings stand in run.yaml.\n",
             r.seconds, r.tokens_per_second, static_cast<double>(r.peak_bytes) / 0x1p30);
}

}  // namespace lorikeet
