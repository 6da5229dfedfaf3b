// The memory part of RunSetup: what the run will need, and how many blocks keep their activations.
#include <algorithm>

#include "core/error.h"
#include "core/system_memory.h"
#include "optim/gradient.h"
#include "train/evaluate.h"
#include "train/memory_plan.h"
#include "train/run_setup.h"
#include "train/speed_estimate.h"

namespace lorikeet {

namespace {

using Shapes = std::vector<std::vector<int32_t>>;

Shapes row_lengths(const std::vector<MicroBatchStorage>& batches) {
  Shapes shapes;
  for (const MicroBatchStorage& b : batches) {
    auto& lengths = shapes.emplace_back();
    for (const RowSpan& row : b.view().rows) lengths.push_back(row.q_count);
  }
  return shapes;
}

/// The larger of the shapes' needs.
StepBytes largest_step(const LoadedModel& dry, ThreadPool& threads, const Shapes& shapes, int64_t kept) {
  StepBytes most;
  for (const auto& rows : shapes) {
    const StepBytes b = step_bytes(dry.model(), Device::cpu, threads, rows, kept);
    if (b.total() > most.total()) most = b;
  }
  return most;
}

uint64_t largest_evaluation(const LoadedModel& dry, ThreadPool& threads, const Shapes& shapes) {
  uint64_t most = 0;
  for (const auto& rows : shapes)
    most = std::max(most, evaluation_bytes(dry.model(), Device::cpu, threads, rows).total());
  return most;
}

/// What the optimizer's kernels need beside a step's memory, which is free by then.
size_t optimizer_workspace(LoadedModel& dry) {
  Arena arena = Arena::dry();
  const Stream stream = dry.stream(&arena);
  gradient_norm(dry.trainable(), stream);
  dry.optimizer().step(stream, 0, 1, 1);
  return arena.high_water();
}

int64_t as_int(uint64_t bytes) { return static_cast<int64_t>(bytes); }

std::string gib(int64_t bytes) { return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / 0x1p30); }

}  // namespace

int64_t RunSetup::choose_kept_blocks(const LoadedModel& dry, const Shapes& shapes, ThreadPool& threads,
                                     int64_t held) const {
  if (config.gradient_checkpointing == GradientCheckpointing::off) return facts.blocks;
  if (config.gradient_checkpointing == GradientCheckpointing::on) return std::min<int64_t>(1, facts.blocks);
  const int64_t budget = facts.memory.limit_bytes - held;
  int64_t kept = facts.blocks;
  for (const auto& rows : shapes)
    kept = std::min(kept, budget > 0 ? most_kept_blocks(dry.model(), Device::cpu, threads, rows,
                                                        static_cast<uint64_t>(budget))
                                     : -1);
  return std::max<int64_t>(kept, 0);  // require_memory says no if even that is too much
}

void RunSetup::plan() {
  // Before the dry model: what it holds is given back.
  const uint64_t free = available_memory() + resident_bytes();
  LoadedModel dry(files, request, /*dry=*/true);
  ThreadPool& threads = dry.threads();
  const Shapes shapes = row_lengths(loader->largest(facts.total_steps));
  const Shapes eval_shapes = data.eval ? largest_row_lengths(data.eval->samples, eval_batches) : Shapes();
  MemoryPlan& m = facts.memory;
  m.blocks = facts.blocks;
  m.limit_bytes = as_int(config.memory_limit.value_or(free));
  m.weights_bytes = as_int(dry.weights_bytes());
  m.adapter_bytes = as_int(dry.adapter_bytes());
  m.optimizer_bytes = as_int(dry.optimizer_bytes());
  const int64_t data_bytes = data.train.bytes() + (data.eval ? data.eval->bytes() : 0);
  m.process_bytes = as_int(process_allowance(static_cast<uint64_t>(files.spec().vocab_size),
                                             static_cast<uint64_t>(data_bytes), threads.size(),
                                             config.method == Method::full && files.is_gguf()));
  const uint64_t evaluation = largest_evaluation(dry, threads, eval_shapes);
  const size_t least_arena = std::max(static_cast<size_t>(evaluation), optimizer_workspace(dry));
  int64_t held = 0;
  const auto fit = [&] {
    held = m.weights_bytes + m.adapter_bytes + m.optimizer_bytes - m.released_bytes + m.process_bytes;
    m.kept_blocks = choose_kept_blocks(dry, shapes, threads, held);
    const StepBytes step = largest_step(dry, threads, shapes, m.kept_blocks);
    arena_bytes = std::max(static_cast<size_t>(step.total()), least_arena);
    m.activation_bytes = as_int(step.activation);
    m.workspace_bytes = as_int(arena_bytes) - m.activation_bytes;
    m.peak_bytes = held + as_int(arena_bytes);
  };
  fit();
  if (m.peak_bytes > m.limit_bytes && is_paged(config.optim)) {
    request.optimizer->release_pages = true;
    m.released_bytes = m.optimizer_bytes - as_int(dry.optimizer().piece_bytes());
    fit();
  }
  m.largest_rows = static_cast<int64_t>(shapes.front().size());
  for (const int32_t n : shapes.front()) m.largest_tokens += n;
  const double flops = measured_flops(threads, dry.compute(), files.spec());
  const double target_share =
      static_cast<double>(data.train.target_tokens) / static_cast<double>(data.train.tokens);
  const auto speed = [&](int64_t kept) {
    return estimated_tokens_per_second(flops, files.spec(), config.method == Method::full, kept,
                                       target_share);
  };
  for (const int64_t kept : {facts.blocks, facts.blocks / 2, int64_t{1}, int64_t{0}}) {
    if (!m.choices.empty() && m.choices.back().kept_blocks <= kept) continue;
    const uint64_t bytes = std::max(largest_step(dry, threads, shapes, kept).total(), evaluation);
    m.choices.push_back({kept, held + as_int(bytes), speed(kept)});
  }
  m.tokens_per_second = speed(m.kept_blocks);
  facts.adapted_modules = 0;
  for (const Parameter& p : dry.trainable().parameters())
    facts.adapted_modules += p.kind == ParameterKind::lora_b || p.kind == ParameterKind::embedding_b;
  facts.trainable = dry.trainable().trainable_count();
  config.recorded["kept_blocks"] = std::to_string(m.kept_blocks);
  // The files hold the change since the start, which is right on the base as it was.
  if (dry.trainable().keeps_start()) config.recorded["saved_lora_r"] = std::to_string(2 * config.lora_r);
}

void RunSetup::require_memory() const {
  const MemoryPlan& m = facts.memory;
  if (m.peak_bytes <= m.limit_bytes) return;
  std::string fix;
  const MemoryPlan::Choice& least =
      *std::min_element(m.choices.begin(), m.choices.end(),
                        [](const auto& a, const auto& b) { return a.peak_bytes < b.peak_bytes; });
  if (least.peak_bytes <= m.limit_bytes)
    fix = fmt::format("--gradient-checkpointing auto needs {}", gib(least.peak_bytes));
  else if (config.per_device_train_batch_size > 1)
    fix = "lower --per-device-train-batch-size (and raise --gradient-accumulation-steps) or --max-length";
  else
    fix = "lower --max-length, or use --method qlora";
  throw Error(ErrorKind::resource,
              fmt::format("the run needs {}, {} {}", gib(m.peak_bytes),
                          config.memory_limit ? "memory_limit is" : "free are", gib(m.limit_bytes)),
              fmt::format("activations of {} rows, {} tokens, with {} of {} blocks kept", m.largest_rows,
                          m.largest_tokens, m.kept_blocks, m.blocks),
              fix);
}

}  // namespace lorikeet
