// Whole-model gradients against complex step, through the very block that trains.
#include <gtest/gtest.h>

#include "engine/tiny_model.h"

namespace lorikeet::testing {
namespace {

struct Case {
  const char* name;
  StepSetup setup;
};

std::vector<Case> cases() {
  StepSetup plain, qk_norm, biases, tied, full, full_tied, windowed, dora, dora_dropout;
  qk_norm.spec.qk_norm = QkNorm::per_head;
  biases.spec.qkv_bias = biases.spec.o_bias = biases.spec.mlp_bias = true;
  tied.spec.tie_word_embeddings = true;
  full.train_base = true;
  full.spec.qkv_bias = true;
  full.spec.qk_norm = QkNorm::per_head;
  full_tied = full;
  full_tied.spec.tie_word_embeddings = true;
  full_tied.spec.mlp_bias = full_tied.spec.o_bias = true;
  windowed.spec.window = {0, 3, 0, 5};
  windowed.spec.attention_softcap = 2;
  windowed.spec.logit_softcap = 3;
  windowed.spec.norm_weight_offset = 1;
  windowed.spec.activation = Activation::gelu_tanh;
  StepSetup whole, post_norm, two_ropes, by_length, granite, stacked, per_head, per_group, learned;
  whole.spec.qk_norm = QkNorm::whole;  // OLMo 2
  whole.spec.names.input_norm = whole.spec.names.mlp_norm = "";
  whole.spec.names.attention_out_norm = "layers.{}.attention_out_norm";
  whole.spec.names.mlp_out_norm = "layers.{}.mlp_out_norm";
  post_norm = whole;  // Gemma 2
  post_norm.train_base = true;
  post_norm.spec.names.input_norm = "layers.{}.input_norm";
  post_norm.spec.names.mlp_norm = "layers.{}.mlp_norm";
  post_norm.spec.qk_norm = QkNorm::none;
  two_ropes.spec.window = {3, 3, 0, 3};  // Gemma 3 and SmolLM 3
  two_ropes.spec.window_rope = two_ropes.spec.rope;
  two_ropes.spec.window_rope->theta = 30;
  two_ropes.spec.without_rope = {false, true, false, false};
  by_length.spec.rope.scaling = RopeScaling::dynamic;
  by_length.spec.rope.factor = 3;
  by_length.spec.rope.original_max_position_embeddings = 5;
  granite.spec.residual_scale = 0.4;
  granite.spec.embedding_scale = 3;
  granite.spec.logit_scale = 0.5;
  stacked.spec.qkv = QkvLayout::stacked;  // Phi-3
  stacked.spec.mlp = MlpKind::gated_stacked;
  stacked.spec.rope.rotary_dim = 4;
  per_head.spec.qkv = QkvLayout::per_head;  // GPT-NeoX
  per_head.spec.num_key_value_heads = 6;
  per_head.spec.residual = Residual::parallel;
  per_head.spec.mlp = MlpKind::plain;
  per_head.spec.activation = Activation::gelu;
  per_head.spec.norm = NormKind::layer;
  per_head.spec.norm_bias = per_head.spec.qkv_bias = per_head.spec.mlp_bias = true;
  per_group = per_head;  // Falcon 40B: one norm for both halves
  per_group.spec.qkv = QkvLayout::per_group;
  per_group.spec.num_key_value_heads = 2;
  per_group.spec.names.mlp_norm = "";
  per_group.spec.rope.interleaved = true;  // Cohere
  per_group.spec.head_bias = true;         // Phi-2
  per_group.train_base = true;
  learned = per_head;  // OPT
  learned.spec.residual = Residual::serial;
  learned.spec.rope.rotary_dim = 0;
  learned.spec.names.positions = "positions";
  learned.spec.positions_offset = 2;
  learned.spec.activation = Activation::relu;
  learned.train_base = true;
  StepSetup experts, some_experts;
  experts.spec = experts_spec();  // Mixtral
  some_experts.spec = experts_spec();
  some_experts.spec.norm_topk_prob = false;
  some_experts.spec.num_experts_per_tok = 3;
  some_experts.spec.without_experts = {true, false, true, false};
  some_experts.spec.residual = Residual::parallel;
  dora.dora = true;
  dora.spec.qkv_bias = dora.spec.o_bias = dora.spec.mlp_bias = true;
  dora_dropout = dora;
  dora_dropout.dropout = 0.2;
  StepSetup heads, heads_dropout, heads_tied, tokens, tokens_tied, bias;
  heads.heads = true;
  heads.spec.embedding_scale = 3;
  heads_dropout = heads;
  heads_dropout.dropout = 0.2;
  heads_tied = heads;
  heads_tied.spec.tie_word_embeddings = true;
  tokens.tokens = {18, 5, 6, 31};
  tokens.spec.embedding_scale = 2;
  tokens_tied = tokens;
  tokens_tied.spec.tie_word_embeddings = true;
  bias.bias = true;
  bias.spec.qkv_bias = true;
  return {{"AdaptersOfEmbeddingAndHead", heads},
          {"AdaptersOfEmbeddingAndHeadWithDropout", heads_dropout},
          {"AdaptersOfTiedEmbeddingAndHead", heads_tied},
          {"SingleTokens", tokens},
          {"SingleTiedTokens", tokens_tied},
          {"BiasesOfAdapters", bias},
          {"Dora", dora},
          {"DoraWithDropout", dora_dropout},
          {"Plain", plain},
          {"QkNorm", qk_norm},
          {"Biases", biases},
          {"Tied", tied},
          {"Full", full},
          {"FullTied", full_tied},
          {"WindowsAndCaps", windowed},
          {"NormOfAllHeadsAndAfterTheHalves", whole},
          {"NormsBeforeAndAfter", post_norm},
          {"TwoRopesAndNone", two_ropes},
          {"RopeByLength", by_length},
          {"Multipliers", granite},
          {"StackedProjections", stacked},
          {"ParallelWithTwoLayerNorms", per_head},
          {"ParallelWithOneNormInGroups", per_group},
          {"LearnedPositions", learned},
          {"Experts", experts},
          {"ExpertsInSomeLayersNotNormalized", some_experts}};
}

class Gradient : public ::testing::TestWithParam<Case> {};

TEST_P(Gradient, MatchesComplexStep) {
  StepSetup f32 = GetParam().setup, f64 = f32, c128 = f32;
  f64.dtype = DType::f64;
  f64.kept = 1;
  c128.dtype = DType::c128;
  c128.kept = 0;
  const std::vector<HostBatch> batch = {make_batch({7, 5, 9, 1, 4}, 43)};
  Engine engine32(f32), engine64(f64), exact_engine(c128);
  const auto g32 = engine32.step(batch), g64 = engine64.step(batch);

  const double h = 1e-30;
  std::vector<double> exact, got32, got64;
  size_t base = 0, number = 0;
  TrainableStore& store = exact_engine.store();
  for (const NamedTensor& t : store.tensors()) {
    const TensorView v = store.value_of(t);
    const int64_t count = t.rows * t.cols, stride = count / 2 + 1;  // one or two elements of each tensor
    for (int64_t i = static_cast<int64_t>(number++) % std::min<int64_t>(13, count); i < count; i += stride) {
      const Complex x = get_element(v, i / t.cols, i % t.cols);
      set_element(v, i / t.cols, i % t.cols, x + Complex(0, h));
      exact.push_back(exact_engine.step(batch).loss.imag() / h);
      set_element(v, i / t.cols, i % t.cols, x);
      got32.push_back(g32.grads[base + static_cast<size_t>(i)]);
      got64.push_back(g64.grads[base + static_cast<size_t>(i)]);
    }
    base += static_cast<size_t>(count);
  }
  ASSERT_GT(exact.size(), 20u);
  EXPECT_LT(nmse(got64, exact), 1e-24);  // double rounding only
  EXPECT_LT(nmse(got32, exact), 1e-10);  // f32 rounding of every stored activation
  EXPECT_NEAR(g32.loss.real(), g64.loss.real(), 1e-5);
}

/// The gradient of one tensor, row by row as it is held.
std::vector<std::vector<double>> gradient_rows(Engine& engine, const std::string& name) {
  const NamedTensor& t = *engine.store().find(name);
  const TensorView g = engine.store().grad_of(t);
  std::vector<std::vector<double>> rows;
  for (int64_t i = 0; i < t.rows; ++i) {
    rows.emplace_back();
    for (int64_t k = 0; k < t.cols; ++k) rows.back().push_back(get_element(g, i, k).real());
  }
  return rows;
}

TEST(Padding, ItsLookUpsLeaveTheEmbeddingWithoutAGradient) {
  const std::vector<HostBatch> batch = {make_batch({7, 5, 9, 1, 4}, 43)};
  StepSetup full, adapter;
  full.train_base = true;
  adapter.heads = true;
  for (auto& [setup, name] :
       {std::pair{full, "model.embed_tokens.weight"}, {adapter, "model.embed_tokens.lora_embedding_A"}}) {
    StepSetup padded = setup;
    const int32_t padding = batch[0].tokens[1];
    padded.spec.padding_idx = padding;
    Engine with(padded), without(setup);
    with.step(batch);
    without.step(batch);
    std::vector<std::vector<double>> found = gradient_rows(with, name), wanted = gradient_rows(without, name);
    std::vector<double>& row = wanted[static_cast<size_t>(padding)];
    EXPECT_NE(row, std::vector<double>(row.size(), 0.0)) << name;
    std::fill(row.begin(), row.end(), 0.0);
    EXPECT_EQ(found, wanted) << name;
  }
}

TEST(Padding, ATiedHeadStillGivesItsRowAGradient) {
  StepSetup tied;
  tied.train_base = true;
  tied.spec.tie_word_embeddings = true;
  const std::vector<HostBatch> batch = {make_batch({7, 5}, 43)};
  tied.spec.padding_idx = batch[0].tokens[1];
  Engine engine(tied);
  engine.step(batch);
  const auto row =
      gradient_rows(engine, "model.embed_tokens.weight")[static_cast<size_t>(tied.spec.padding_idx)];
  EXPECT_NE(row, std::vector<double>(row.size(), 0.0));
}

/// transformers adds the noise to what leaves the embedding module: Granite multiplies that, Gemma's module
/// has multiplied already.
TEST(Noise, IsScaledWhereTheEmbeddingIsScaledAfterItsModule) {
  const std::vector<HostBatch> batch = {make_batch({7, 5, 9, 1, 4}, 43)};
  StepSetup outside, inside;
  outside.spec.embedding_scale = inside.spec.embedding_scale = 3;
  inside.spec.embedding_scales_itself = true;
  outside.neftune = inside.neftune = 1;
  StepSetup louder = inside;
  louder.neftune = 3;
  const Complex scaled = Engine(outside).step(batch).loss;
  EXPECT_EQ(scaled, Engine(louder).step(batch).loss);
  EXPECT_NE(scaled, Engine(inside).step(batch).loss);
}

INSTANTIATE_TEST_SUITE_P(OfEachBranch, Gradient, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lorikeet::testing
