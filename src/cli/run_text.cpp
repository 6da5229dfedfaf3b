#include "cli/run_text.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "cli/marked_text.h"
#include "cli/terminal.h"
#include "cli/text_format.h"
#include "optim/optimizer.h"

namespace lorikeet::cli {
namespace {

constexpr int kMostPieceColumns = 90;

uint64_t bytes(int64_t n) { return static_cast<uint64_t>(n); }

std::string base_text(const RunFacts& f, const RunConfig& c) {
  std::string how;
  if (c.base_format == BaseFormat::bnb_4bit) {
    how = c.bnb_4bit_quant_type == QuantType::nf4 ? "NF4" : "FP4";
    if (c.bnb_4bit_use_double_quant) how += ", double quantization";
    how += fmt::format(", {:.2f} bits a weight", f.base_bits_per_weight);
  } else if (c.base_format == BaseFormat::keep) {
    how = fmt::format("as in the file, {:.2f} bits a weight", f.base_bits_per_weight);
  } else {
    how = fmt::format("dense, {:.0f} bits a weight", f.base_bits_per_weight);
  }
  return fmt::format("{} · {}{} · computes in {}", how, in_bytes(bytes(f.memory.weights_bytes)),
                     f.model_quantized_in_file ? " (from a quantized file)" : "", f.compute_dtype);
}

std::string adapter_text(const RunFacts& f, const RunConfig& c) {
  const double share =
      f.parameters > 0 ? static_cast<double>(f.trainable) / static_cast<double>(f.parameters) : 0;
  if (c.method == Method::full)
    return fmt::format("none: all {} parameters are trained", in_millions(f.trainable));
  return fmt::format("r {}, alpha {:g} on {} linear layers · {} trainable ({:.2g} %)", c.lora_r, c.lora_alpha,
                     with_commas(f.adapted_modules), in_millions(f.trainable), 100 * share);
}

std::string file_names(const DataFacts& d) {
  std::string names;
  for (const std::string& file : d.files)
    names += (names.empty() ? "" : ", ") + printable(std::filesystem::path(file).filename().string());
  return names;
}

std::string data_text(const DataFacts& d) {
  return fmt::format("{} · {} rows ({}) · {} tokens, {} of them targets", file_names(d), with_commas(d.rows),
                     d.format, with_commas(d.tokens), with_commas(d.target_tokens));
}

std::string memory_text(const RunFacts& f) {
  const MemoryPlan& m = f.memory;
  const auto gib = [](int64_t n) { return gib_number(bytes(n)); };
  return fmt::format(
      "planned {} of {} GiB: base {}, trainable + optimizer {}, activations {} ({} of {} blocks kept), other "
      "{}",
      gib(m.peak_bytes), gib(m.limit_bytes), gib(m.weights_bytes), gib(m.adapter_bytes + m.optimizer_bytes),
      gib(m.activation_bytes), m.kept_blocks, m.blocks, gib(m.workspace_bytes + m.process_bytes));
}

/// What is paged, where to, and how much of it stays in memory.
std::string paging_text(const RunFacts& f, const RunConfig& c) {
  const MemoryPlan& m = f.memory;
  return fmt::format("{} of optimizer state in an unnamed file of {}: {}",
                     gib_number(bytes(m.optimizer_bytes)) + " GiB", printable(c.output),
                     m.released_bytes > 0 ? "given back to it after each use"
                                          : "stays in memory until the system needs the room");
}

std::string steps_text(const RunFacts& f, const RunConfig& c) {
  const int64_t rows = c.per_device_train_batch_size * c.gradient_accumulation_steps;
  std::string text = fmt::format("{} steps of {} {}", with_commas(f.total_steps), with_commas(rows),
                                 c.packing ? "sequences" : "rows");
  if (f.memory.tokens_per_second > 0 && f.steps_per_epoch > 0) {
    const double tokens = static_cast<double>(f.tokens_per_epoch) * static_cast<double>(f.total_steps) /
                          static_cast<double>(f.steps_per_epoch);
    text += fmt::format(" · about {} at {} tokens/s",
                        as_duration(std::round(tokens / f.memory.tokens_per_second)),
                        with_commas(std::llround(f.memory.tokens_per_second)));
  }
  return fmt::format("{} · {} threads", text, f.threads);
}

}  // namespace

std::string facts_text(const RunFacts& f, const RunConfig& c, bool colour, int width) {
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += fmt::format("{:<9} {}\n", label, value);
  };
  line("model", fmt::format("{} · {} · {} blocks · {} parameters", printable(f.model_name), f.model_type,
                            f.blocks, in_millions(f.parameters)));
  line("base", base_text(f, c));
  line("adapter", adapter_text(f, c));
  line("data", data_text(f.data));
  line("", "row 1: " + marked_text(f.data.first_row, colour, std::max(kMostPieceColumns, width)));
  std::string counts = fmt::format("{} cut · {} dropped · longest {} tokens", with_commas(f.data.rows_cut),
                                   with_commas(f.data.rows_dropped), with_commas(f.data.longest));
  if (f.data.rows_cut > 0)
    counts += fmt::format(" · {} tokens lost to max_length {}", with_commas(f.data.tokens_cut), c.max_length);
  line("", counts);
  if (c.packing)
    line("", fmt::format("packed: {} rows in {} sequences, {} steps an epoch instead of {}",
                         with_commas(f.data.rows), with_commas(f.sequences), with_commas(f.steps_per_epoch),
                         with_commas(f.steps_per_epoch_unpacked)));
  if (f.eval_data) line("eval", data_text(*f.eval_data));
  line("memory", memory_text(f));
  if (is_paged(c.optim)) line("paging", paging_text(f, c));
  line("run", steps_text(f, c));
  return text + "\n";
}

std::string result_text(const RunResult& r, const RunFacts& f, const RunConfig& c) {
  if (r.outcome == RunOutcome::already_complete)
    return fmt::format("already complete: {} steps in {}\n", r.steps, printable(r.output));
  const std::string output = printable(c.output);
  if (r.outcome == RunOutcome::interrupted)
    return fmt::format(
        "stopped after step {}{}\nresume    lorikeet finetune --config {}/run.yaml --resume-from-checkpoint "
        "auto\n",
        r.steps, r.last_checkpoint.empty() ? "" : "; saved " + printable(r.last_checkpoint), output);
  std::string text =
      fmt::format("done in {} · {} tokens/s · peak {} (planned {}) · loss {} → {}\n", as_duration(r.seconds),
                  with_commas(std::llround(r.tokens_per_second)), in_gib(bytes(r.peak_bytes)),
                  gib_number(bytes(f.memory.peak_bytes)), as_loss(r.first_loss), as_loss(r.last_loss));
  if (r.eval_loss)
    text +=
        fmt::format("eval      loss {} · perplexity {:.4g}\n", as_loss(*r.eval_loss), std::exp(*r.eval_loss));
  if (r.stopped_early) text += "          stopped early: the eval loss no longer fell\n";
  if (c.method == Method::full) {
    text += fmt::format("model     {}/  (a Hugging Face folder)\n", output);
    return text + fmt::format("next      lorikeet chat --model {}\n", output);
  }
  text += fmt::format("adapter   {}/  ({}; loads with PeftModel.from_pretrained)\n", output,
                      in_bytes(bytes(r.adapter_file_bytes)));
  return text + fmt::format(
                    "next      lorikeet chat     --adapter {0}\n"
                    "          lorikeet eval     --adapter {0} --data test.jsonl --exact-match\n"
                    "          lorikeet merge    --adapter {0} --output merged\n",
                    output);
}

Json result_json(const RunResult& r, const RunFacts& f, const RunConfig& c) {
  const char* outcome = r.outcome == RunOutcome::completed     ? "completed"
                        : r.outcome == RunOutcome::interrupted ? "interrupted"
                                                               : "already_complete";
  Json json{{"outcome", outcome},
            {"output", r.output},
            {"steps", r.steps},
            {"total_steps", f.total_steps},
            {"resumed_at", r.resumed_at},
            {"first_loss", r.first_loss},
            {"loss", r.last_loss},
            {"seconds", r.seconds},
            {"tokens_per_second", r.tokens_per_second},
            {"peak_bytes", r.peak_bytes},
            {"planned_peak_bytes", f.memory.peak_bytes},
            {"trainable_parameters", f.trainable},
            {"adapter_file_bytes", r.adapter_file_bytes},
            {"method", name_of(c.method)},
            {"base_format", name_of(c.base_format)}};
  if (!r.last_checkpoint.empty()) json["last_checkpoint"] = r.last_checkpoint;
  if (r.eval_loss) json["eval_loss"] = *r.eval_loss;
  if (r.best_eval_loss) json["best_eval_loss"] = *r.best_eval_loss;
  return json;
}

}  // namespace lorikeet::cli
