// To add a key: a field in include/lorikeet/config.h and a row here. `.not_yet()` refuses all but the
// default.
#include "config/run_keys.h"

namespace lorikeet {
namespace {

constexpr double kMostInteger = 9.0e15;  // exact in a double

std::vector<Key<RunConfig>> make_table() {
  using R = RunConfig;
  constexpr auto run = "run", quantization = "quantization", lora = "LoRA", data = "data",
                 training = "training", saving = "saving and reporting", machine = "machine";
  return {
      key<&R::model>("model", run, "Hugging Face folder or one .gguf file").required().path(),
      key<&R::data>("data", run, "training data: JSON lines, a JSON array or CSV; may be given several times")
          .required()
          .path(),
      key<&R::output>("output", run, "folder to write").required().path(),
      key<&R::eval_data>("eval_data", run, "held-out data, evaluated during the run").path(),
      key<&R::eval_split>("eval_split", run, "share of the training rows to hold out, taken with the seed")
          .above(0)
          .below(1),
      key<&R::method>("method", run,
                      "what is trained: an adapter, an adapter on a quantized base, or every weight"),
      key<&R::base_format>("base_format", run,
                           "how the frozen base is held; auto: dense, for qlora keep where the file is "
                           "quantized and bnb_4bit elsewhere"),
      key<&R::adapter>("adapter", run, "start from this PEFT folder; its r, alpha and targets win").path(),

      key<&R::bnb_4bit_quant_type>("bnb_4bit_quant_type", quantization, "4-bit data type"),
      key<&R::bnb_4bit_use_double_quant>("bnb_4bit_use_double_quant", quantization,
                                         "quantize the scales too"),
      key<&R::bnb_4bit_blocksize>("bnb_4bit_blocksize", quantization,
                                  "weights that share a scale; a power of two")
          .range(32, 4096)
          .powers_of_two(),
      key<&R::compute_dtype>(
          "compute_dtype", quantization,
          "type of activations; auto: bfloat16 where the machine multiplies it natively, else float32"),

      key<&R::lora_r>("lora_r", lora, "rank").range(1, 65536),
      key<&R::lora_alpha>("lora_alpha", lora, "scale: the adapter counts alpha / r").above(0),
      key<&R::lora_dropout>("lora_dropout", lora, "share of the adapter's inputs dropped in training")
          .range(0, 1)
          .below(1),
      key<&R::lora_target_modules>(
          "lora_target_modules", lora,
          "all-linear, a list of module names, or one regular expression; unset, the "
          "experts of a mixture are left out"),
      key<&R::lora_exclude_modules>("lora_exclude_modules", lora,
                                    "modules left out: a list or one regular expression"),
      key<&R::lora_modules_to_save>("lora_modules_to_save", lora,
                                    "modules trained in full and saved with the adapter, e.g. lm_head"),
      key<&R::trainable_token_indices>(
          "trainable_token_indices", lora,
          "ids of tokens whose embeddings are trained, e.g. of new special tokens")
          .at_least(0),
      key<&R::lora_bias>("lora_bias", lora, "train a bias beside each B"),
      key<&R::layers_to_transform>("layers_to_transform", lora, "numbers of the only layers to adapt")
          .at_least(0),
      key<&R::rank_pattern>("rank_pattern", lora, "rank by module name, e.g. '{\"layers.0\": 4}'")
          .range(1, 65536),
      key<&R::alpha_pattern>("alpha_pattern", lora, "alpha by module name").above(0),
      key<&R::use_rslora>("use_rslora", lora, "scale by alpha / sqrt(r)"),
      key<&R::use_dora>("use_dora", lora, "train magnitude and direction apart: DoRA"),
      key<&R::loraplus_lr_ratio>("loraplus_lr_ratio", lora, "learning rate of B over that of A").above(0),
      key<&R::neftune_noise_alpha>("neftune_noise_alpha", lora,
                                   "noise added to the embeddings in training, up to alpha / sqrt(tokens * "
                                   "hidden size)")
          .at_least(0),
      key<&R::init_lora_weights>(
          "init_lora_weights", lora,
          "start of A and B; default: Kaiming A, zero B; pissa and olora take a part of a dense "
          "base, loftq makes up for a 4-bit one"),

      key<&R::data_format>("data_format", data, "layout of the rows"),
      key<&R::chat_template>("chat_template", data, "a Jinja file, or chatml, llama3 or alpaca")
          .shown_default("from the model")
          .name_or_path(),
      key<&R::prompt_column>("prompt_column", data, "column of the prompt").shown_default("the format's"),
      key<&R::completion_column>("completion_column", data, "column of the completion")
          .shown_default("the format's"),
      key<&R::text_column>("text_column", data, "column of the text").shown_default("the format's"),
      key<&R::messages_column>("messages_column", data, "column of the messages")
          .shown_default("the format's"),
      key<&R::completion_separator>("completion_separator", data,
                                    "splits a text column into prompt and completion at its last occurrence, "
                                    "which stays in the prompt"),
      key<&R::system_prompt>("system_prompt", data, "system message for conversations without one"),
      key<&R::assistant_only_loss>("assistant_only_loss", data,
                                   "messages: train on the assistant's tokens only"),
      key<&R::completion_only_loss>("completion_only_loss", data,
                                    "prompt and completion: train on the completion only"),
      key<&R::max_length>("max_length", data, "longest row in tokens; what is cut is counted")
          .range(2, 1 << 24),
      key<&R::max_cut_share>("max_cut_share", data,
                             "share of the data's tokens that max_length may cut; more is refused")
          .range(0, 1),
      key<&R::allow_longer_context>("allow_longer_context", data,
                                    "accept a max_length beyond the model's positions"),
      key<&R::packing>("packing", data, "group rows, best-fit, into sequences of max_length"),
      key<&R::skip_rows_without_targets>(
          "skip_rows_without_targets", data,
          "drop and count rows without a target token instead of refusing the data"),
      key<&R::shuffle>("shuffle", data, "new order of rows in each epoch"),
      key<&R::seed>("seed", data, "of every random choice").range(0, kMostInteger),

      key<&R::per_device_train_batch_size>("per_device_train_batch_size", training, "rows of a micro-batch")
          .range(1, 1 << 20),
      key<&R::gradient_accumulation_steps>("gradient_accumulation_steps", training, "micro-batches of a step")
          .range(1, 1 << 20),
      key<&R::num_train_epochs>("num_train_epochs", training, "passes over the data")
          .above(0)
          .shown_default("1"),
      key<&R::max_steps>("max_steps", training, "steps; -1: by epochs").range(-1, kMostInteger),
      key<&R::learning_rate>("learning_rate", training, "peak learning rate")
          .range(0, 1e6)
          .shown_default("2e-4"),
      key<&R::lr_scheduler_type>("lr_scheduler_type", training, "how the learning rate falls"),
      key<&R::warmup_ratio>("warmup_ratio", training, "share of the steps that warm up").range(0, 1),
      key<&R::warmup_steps>("warmup_steps", training, "steps that warm up; above 0 it wins over warmup_ratio")
          .range(0, kMostInteger),
      key<&R::optim>("optim", training,
                     "optimizer; the state of a paged one lies in an unnamed file of the output folder"),
      key<&R::bf16_stochastic_round>("bf16_stochastic_round", training,
                                     "method full: hold the weights in bfloat16 only and round each update "
                                     "up or down at random; false keeps float32 masters beside them"),
      key<&R::adam_beta1>("adam_beta1", training, "decay of the first moment").range(0, 1).below(1),
      key<&R::adam_beta2>("adam_beta2", training, "decay of the second moment").range(0, 1).below(1),
      key<&R::adam_epsilon>("adam_epsilon", training, "added to the root of the second moment")
          .range(0, 1)
          .shown_default("1e-8"),
      key<&R::weight_decay>("weight_decay", training, "decoupled weight decay").range(0, 1e6),
      key<&R::max_grad_norm>("max_grad_norm", training, "gradients are scaled down to this norm; 0: never")
          .at_least(0),
      key<&R::gradient_checkpointing>("gradient_checkpointing", training,
                                      "auto keeps as many blocks' activations as memory_limit allows, true "
                                      "only the top block's, false all")
          .bare("true"),
      key<&R::memory_limit>("memory_limit", training, "never exceeded, e.g. 6GiB")
          .bytes()
          .at_least(1)
          .shown_default("what is free"),

      key<&R::logging_steps>("logging_steps", saving, "steps between reports").range(0, kMostInteger),
      key<&R::eval_steps>("eval_steps", saving, "steps between evaluations; 0: only at the end")
          .range(0, kMostInteger),
      key<&R::save_steps>("save_steps", saving, "steps between checkpoints; 0: only at the end")
          .range(0, kMostInteger),
      key<&R::save_total_limit>("save_total_limit", saving, "checkpoints kept; 0: all")
          .range(0, kMostInteger),
      key<&R::load_best_model_at_end>("load_best_model_at_end", saving,
                                      "finish with the checkpoint of the lowest eval loss"),
      key<&R::early_stopping_patience>("early_stopping_patience", saving,
                                       "stop after this many evaluations without a lower loss; 0: never")
          .range(0, kMostInteger),
      key<&R::resume_from_checkpoint>("resume_from_checkpoint", saving,
                                      "a checkpoint folder, or auto: the newest of the output folder")
          .per_invocation()
          .name_or_path(),
      key<&R::report_to>("report_to", saving, "event files for a viewer"),
      key<&R::overwrite>("overwrite", saving, "replace what the output folder holds").per_invocation(),
      key<&R::allow_other_base>("allow_other_base", saving,
                                "use an adapter on a base with another fingerprint")
          .per_invocation(),

      key<&R::device>("device", machine, "auto, cpu, cuda or cuda:1"),
      key<&R::threads>("threads", machine, "CPU threads").shown_default("auto").range(1, 4096),
  };
}

}  // namespace

std::span<const Key<RunConfig>> run_keys() {
  static const std::vector<Key<RunConfig>> table = make_table();
  return table;
}

const Key<RunConfig>* find_run_key(std::string_view name) {
  for (const Key<RunConfig>& row : run_keys())
    if (row.info.name == name) return &row;
  return nullptr;
}

}  // namespace lorikeet
