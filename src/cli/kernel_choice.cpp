// Asks the dispatch lists with the shapes of a small Llama; no memory is touched.
#include "cli/kernel_choice.h"

#include "backend/args.h"
#include "backend/backend.h"

namespace lorikeet::cli {
namespace {

constexpr int64_t kTokens = 512, kHidden = 576, kInner = 1536, kVocabulary = 49152, kRank = 16;
constexpr Heads kHeads{9, 3, 64};

TensorView view(int64_t rows, int64_t cols, DType dtype) { return TensorView(nullptr, {rows, cols}, dtype); }

template <class Args>
std::string chosen(const Args& args) {
  try {
    return select_kernel(Device::cpu, args).name;
  } catch (const Error&) {
    return "none";
  }
}

Weight weight(WeightFormat format, DType dtype, int64_t rows, int64_t cols) {
  Weight w;
  w.format = format;
  w.dtype = dtype;
  w.rows = rows;
  w.cols = cols;
  w.blocksize = 64;
  return w;
}

std::string linear(WeightFormat format, DType t) {
  const Weight w = weight(format, t, kInner, kHidden);
  LinearArgs args{};
  args.y = view(kTokens, kInner, t);
  args.x = view(kTokens, kHidden, t);
  args.w = &w;
  args.low = view(kTokens, kRank, t);
  args.lora_b = view(kInner, kRank, t);
  return chosen(args);
}

std::string linear_dx(WeightFormat format, DType t) {
  const Weight w = weight(format, t, kInner, kHidden);
  LinearDxArgs args{};
  args.dx = view(kTokens, kHidden, t);
  args.count = 1;
  args.dy[0] = view(kTokens, kInner, t);
  args.w[0] = &w;
  args.dlow = view(kTokens, kRank, t);
  args.lora_a = view(kRank, kHidden, t);
  return chosen(args);
}

std::string token_sum(DType t) {
  TokenSumArgs args{};
  args.dw = view(kRank, kHidden, DType::f32);
  args.dy = view(kTokens, kRank, t);
  args.x = view(kTokens, kHidden, t);
  return chosen(args);
}

std::string embedding(DType t) {
  const Weight table = weight(WeightFormat::dense, t, kVocabulary, kHidden);
  EmbeddingArgs args{};
  args.y = view(kTokens, kHidden, t);
  args.table = &table;
  return chosen(args);
}

std::string rms_norm(DType t) {
  RmsNormArgs args{};
  args.y = view(kTokens, kHidden, t);
  args.x = args.y;
  args.rstd = view(kTokens, 1, DType::f32);
  args.w = view(1, kHidden, DType::f32);
  args.eps = 1e-5;
  return chosen(args);
}

std::string rope(DType t) {
  RopeArgs args{};
  args.y = view(kTokens, kHidden, t);
  args.x = args.y;
  args.cos = view(kTokens, kHeads.dim / 2, DType::f32);
  args.sin = args.cos;
  args.positions = nullptr;
  args.head_dim = kHeads.dim;
  args.rotary_dim = kHeads.dim;
  return chosen(args);
}

std::string attention(DType t) {
  AttentionArgs args{};
  args.q = view(kTokens, kHeads.q * kHeads.dim, t);
  args.k = view(kTokens, kHeads.kv * kHeads.dim, t);
  args.o = args.q;
  args.v = args.k;
  args.lse = view(kTokens, kHeads.q, DType::f32);
  args.heads = kHeads;
  args.scale = 0.125;
  return chosen(args);
}

std::string attention_bwd(DType t) {
  AttentionBwdArgs args{};
  args.q = view(kTokens, kHeads.q * kHeads.dim, t);
  args.k = view(kTokens, kHeads.kv * kHeads.dim, t);
  args.o = args.dout = args.dq = args.q;
  args.v = args.dk = args.dv = args.k;
  args.lse = args.delta = view(kTokens, kHeads.q, DType::f32);
  args.heads = kHeads;
  args.scale = 0.125;
  return chosen(args);
}

std::string gated_activation(DType t) {
  GatedActivationArgs args{};
  args.y = args.gate = args.up = view(kTokens, kInner, t);
  return chosen(args);
}

std::string cross_entropy(DType t) {
  CrossEntropyArgs args{};
  args.logits = view(kTokens, kVocabulary, DType::f32);
  args.dlogits = view(kTokens, kVocabulary, t);
  args.row_loss = view(kTokens, 1, DType::f64);
  args.loss_sum = view(1, 1, DType::f64);
  return chosen(args);
}

std::string adamw(DType) {
  AdamWArgs args{};
  args.p = args.g = view(kRank, kHidden, DType::f32);
  args.m = args.v = view(1, kRank * kHidden, DType::f32);
  return chosen(args);
}

std::string adamw_8bit(DType) {
  AdamW8bitArgs args{};
  args.p = args.g = view(kRank, kHidden, DType::f32);
  return chosen(args);
}

std::string sgd(DType) {
  SgdArgs args{};
  args.p = args.g = view(kRank, kHidden, DType::f32);
  return chosen(args);
}

}  // namespace

std::vector<KernelChoice> kernel_choices() {
  constexpr auto f32 = DType::f32;
  constexpr auto bf16 = DType::bf16;
  std::vector<KernelChoice> list;
  const auto add = [&](const char* op, std::string (*ask)(DType)) {
    list.push_back({op, ask(f32), ask(bf16)});
  };
  add("embedding", embedding);
  add("rms_norm", rms_norm);
  const std::pair<const char*, WeightFormat> formats[] = {{"dense", WeightFormat::dense},
                                                          {"NF4", WeightFormat::bnb4},
                                                          {"Q8_0", WeightFormat::q8_0},
                                                          {"Q4_1", WeightFormat::q4_1}};
  for (const auto& [name, format] : formats) {
    list.push_back({fmt::format("linear {}", name), linear(format, f32), linear(format, bf16)});
    list.push_back({fmt::format("linear_dx {}", name), linear_dx(format, f32), linear_dx(format, bf16)});
  }
  add("token_sum", token_sum);
  add("rope", rope);
  add("attention", attention);
  add("attention_bwd", attention_bwd);
  add("gated_activation", gated_activation);
  add("cross_entropy", cross_entropy);
  add("adamw", adamw);
  add("adamw_8bit", adamw_8bit);
  add("sgd", sgd);
  return list;
}

}  // namespace lorikeet::cli
