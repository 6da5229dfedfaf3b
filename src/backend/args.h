#pragma once
// The arguments of every op, the contract between ops/ and the kernels of each backend.
//
// Letters: N tokens (rows end to end), C hidden_size, H query heads, K key/value heads, D head_dim, F
// intermediate_size, E experts, V vocab_size, R padded lora rank. "compute type" is bf16, f32 (or f64, c128
// on the reference backend); statistics are stat_dtype(compute). Outputs come first. Unless an argument block
// says otherwise, an output may not overlap an input. Matrices may have stride > cols; TensorViews named w,
// rstd, lse are contiguous. Sums inside a kernel are at least f32. A result may not depend on the number of
// threads.
#include <cmath>

#include "core/batch.h"
#include "core/tensor.h"
#include "quant/weight.h"

namespace lorikeet {

/// Number of tokens whose products are summed before they are added to a gradient, in index order, whatever
/// the thread count.
constexpr int64_t kTokenChunk = 512;

/// y[n] (+)= scale * table[tokens[n]]   (y [N,C], table [V,C] in any weight format)
struct EmbeddingArgs {
  static constexpr auto op_name = "embedding";
  TensorView y;
  const Weight* table;
  const int32_t* tokens;
  double scale = 1;
  bool accumulate = false;
};
/// dtable[tokens[n]] += scale * dy[n], in token order   (dtable [V,C] stat type)
struct EmbeddingBwdArgs {
  static constexpr auto op_name = "embedding_bwd";
  TensorView dtable, dy;
  const int32_t* tokens;
  double scale = 1;
};

/// y = x * rstd * (w + weight_offset), rstd = 1 / sqrt(mean(x^2) + eps) per row   (x, y [M,C]; rstd [M,1]
/// stat; w [1,C] any of f32, bf16, f16 or the compute type; rstd may be empty when no backward follows)
struct RmsNormArgs {
  static constexpr auto op_name = "rms_norm";
  TensorView y, rstd, x, w;
  double eps;
  double weight_offset = 0;
};
/// dx (+)= gradient of rms_norm; dw (optional, [1,C] stat) += sum over rows in index order, chunks of
/// kTokenChunk. dx may be dy.
struct RmsNormBwdArgs {
  static constexpr auto op_name = "rms_norm_bwd";
  TensorView dx, dw, dy, x, w, rstd;
  double weight_offset = 0;
  bool accumulate = false;
};

/// y = (x - mean) * rstd * w + b, mean and variance of each row, rstd = 1 / sqrt(variance + eps)   (x, y
/// [M,C]; w [1,C], b [1,C] optional, any of f32, bf16, f16 or the compute type; stats [M,2] stat holds mean
/// and rstd, may be empty when no backward follows)
struct LayerNormArgs {
  static constexpr auto op_name = "layer_norm";
  TensorView y, stats, x, w, b;
  double eps;
};
/// dx (optional) (+)= gradient of layer_norm; dw (optional, [1,C] stat) += sum over rows in index order,
/// chunks of kTokenChunk. dx may be dy. The gradient of b is a column_sum of dy.
struct LayerNormBwdArgs {
  static constexpr auto op_name = "layer_norm_bwd";
  TensorView dx, dw, dy, x, w, stats;
  bool accumulate = false;
};

/// y = a + scale * b, rounded once   ([N,C] each; y may be a)
struct AddArgs {
  static constexpr auto op_name = "add";
  TensorView y, a, b;
  double scale = 1;
};

/// y = residual + x W^T + bias + low lora_b^T, one sum in f32 rounded once.
/// y [N,out] compute type or f32; x [N,in]; residual (optional) [N,out], may be y; bias (optional) [1,out];
/// low (optional) [N,R] with lora_b [out,R] (the scale s is in lora_b), both of the compute type.
/// planned_rows: the workspace is what that many rows need, where a plan cannot know how many of them come.
/// lone: a single row may be computed as suits a single row best; otherwise its bits must not depend on how
/// many rows stand beside it.
struct LinearArgs {
  static constexpr auto op_name = "linear";
  TensorView y, x;
  const Weight* w;
  TensorView bias, residual, low, lora_b;
  int64_t planned_rows = 0;
  bool lone = false;
};
/// dx (+)= sum_i dy[i] W_i + dlow A, one sum over all i in f32   (dx [N,in]; dy[i] [N,out_i]; dlow [N,R];
/// lora_a [R,in]; planned_rows as in LinearArgs)
struct LinearDxArgs {
  static constexpr auto op_name = "linear_dx";
  TensorView dx;
  bool accumulate = false;
  int count = 0;
  TensorView dy[3];
  const Weight* w[3];
  TensorView dlow, lora_a;
  int64_t planned_rows = 0;
};
/// dw += scale * dy^T x, tokens in chunks of kTokenChunk added in order   (dw [out,in] stat; dy [N,out]; x
/// [N,in])
struct TokenSumArgs {
  static constexpr auto op_name = "token_sum";
  TensorView dw, dy, x;
  double scale = 1;
};
/// db += weight * sum over rows of dy * x, chunks of kTokenChunk in order   (db, weight [1,out] stat; dy, x
/// [N,out]; weight and x are optional and count as 1 where absent)
struct ColumnSumArgs {
  static constexpr auto op_name = "column_sum";
  TensorView db, dy, x, weight;
};
/// y = residual + x * (scale + offset) + bias, column by column   (y, x, residual [N,out], y may be x or
/// residual; scale [1,out] stat; bias [1,out] stat or f32; residual and bias are optional)
struct ScaleColumnsArgs {
  static constexpr auto op_name = "scale_columns";
  TensorView y, x, scale;
  double offset = 0;
  TensorView bias, residual;
};
/// inverse_norm[o] = 1 / |w[o] + lora_b[o] lora_a| over row o, or 0 for a row of zeros; scale = magnitude *
/// inverse_norm. Complex rows count by their real part: DoRA's norm takes no part in the gradient.
/// (inverse_norm, scale, magnitude [1,out] stat; w [out,in]; lora_b [out,R] holds the scale s; lora_a [R,in])
struct DoraScaleArgs {
  static constexpr auto op_name = "dora_scale";
  TensorView inverse_norm, scale, magnitude;
  const Weight* w;
  TensorView lora_a, lora_b;
};

/// Inverted dropout: y = scale * x * keep / (1 - p) with keep drawn from (key, row id, position, channel); y
/// may be x. accumulate: y += instead (the backward).
struct DropoutArgs {
  static constexpr auto op_name = "dropout";
  TensorView y, x;
  double p;
  uint64_t seed, stream;
  const MicroBatch* batch;
  bool accumulate = false;
  double scale = 1;
};

/// y += alpha / sqrt(n C) * u with n the number of tokens of y's row and u uniform in [-1, 1), drawn from
/// (key, row id, position, channel): NEFTune, in the formula of transformers.integrations.neftune.
struct NoiseArgs {
  static constexpr auto op_name = "noise";
  TensorView y;
  double alpha;
  uint64_t seed, stream;
  const MicroBatch* batch;
  double amplitude(int64_t tokens) const { return alpha / std::sqrt(static_cast<double>(tokens * y.cols)); }
};

/// Where the heads of a query, key or value lie in a row of a fused projection: `group` heads one after
/// another from `first`, the next `group` of them `step` elements further on, and so on. group 0: all of them
/// one after another.
struct HeadLayout {
  int32_t first = 0, group = 0, step = 0;
  int64_t at(int64_t head, int64_t dim) const {
    return group == 0 ? first + head * dim : first + head / group * step + head % group * dim;
  }
};

/// Rotary embedding on the first rotary_dim elements of each head, by table rows cos/sin [rows, rotary_dim/2]
/// f32; positions[n] is the table row of token n. The rest of a head is copied (rotary_dim 0: all of it).
/// sign +1 forward, -1 backward. y may be x. Pairs are (j, j + rotary_dim/2), or (2j, 2j+1) if interleaved.
/// The view with fewer columns holds exactly the heads; the other may be a fused projection.
struct RopeArgs {
  static constexpr auto op_name = "rope";
  TensorView y, x, cos, sin;
  const int32_t* positions;
  int32_t head_dim, rotary_dim;
  double sign = 1;
  bool interleaved = false;
  HeadLayout y_heads = {}, x_heads = {};
  int64_t heads() const { return (x.cols < y.cols ? x.cols : y.cols) / head_dim; }
};

struct Heads {
  int32_t q = 0, kv = 0, dim = 0;
};

/// Causal attention over ragged rows; head h of q attends head h / (q / kv) of k and v. See RowSpan.
/// o, q [N, heads.q*dim]; k, v [keys, heads.kv*dim]; lse [N, heads.q] stat, empty if no backward follows.
/// scores = scale * q.k, then softcap * tanh(scores / softcap) if softcap > 0; window > 0: a query sees only
/// the last `window` positions, itself included.
struct AttentionArgs {
  static constexpr auto op_name = "attention";
  TensorView o, lse, q, k, v;
  std::span<const RowSpan> rows;
  Heads heads;
  double scale;
  int64_t window = 0;
  double softcap = 0;
};
/// dq, dk, dv are set (not added). delta [N, heads.q] stat is scratch for sum(dout * o).
struct AttentionBwdArgs {
  static constexpr auto op_name = "attention_bwd";
  TensorView dq, dk, dv, delta, dout, o, lse, q, k, v;
  std::span<const RowSpan> rows;
  Heads heads;
  double scale;
  int64_t window = 0;
  double softcap = 0;
};

enum class Activation : uint8_t { silu, gelu_tanh, gelu, relu };

/// y = act(gate) * up, or act(gate) without `up`   ([N,F] each)
struct GatedActivationArgs {
  static constexpr auto op_name = "gated_activation";
  TensorView y, gate, up;
  Activation activation = Activation::silu;
};
/// dgate may be gate and dup may be up; dup is absent where up is.
struct GatedActivationBwdArgs {
  static constexpr auto op_name = "gated_activation_bwd";
  TensorView dgate, dup, dy, gate, up;
  Activation activation = Activation::silu;
};

/// y = x[at[i]] per row, and its counterpart y[at[i]] = x[i].
struct GatherRowsArgs {
  static constexpr auto op_name = "gather_rows";
  TensorView y, x;
  const int32_t* at;
};
struct ScatterRowsArgs {
  static constexpr auto op_name = "scatter_rows";
  TensorView y, x;
  const int32_t* at;
};
/// Where the rows of a mixture of experts lie: M = N * top_k of them, expert after expert, those of one
/// expert in the order of their tokens. Filled by route; null on a dry run.
struct ExpertRows {
  int64_t top_k = 0;
  int32_t* expert = nullptr;  ///< [N,top_k] the experts of each token, rising
  int32_t* row = nullptr;     ///< [N,top_k] the token's row at each of them
  int32_t* token = nullptr;   ///< [M] the token of each row
  int32_t* first = nullptr;   ///< [E+1] the first row of each expert, and M
};
/// probability = softmax(logits) over E experts; a token goes to the top_k most probable ones, of equals to
/// the lower one; weight = probability of each choice, divided by their sum if `normalize`.
/// (weight [M,1], probability and logits [N,E] stat; probability may be logits)
struct RouteArgs {
  static constexpr auto op_name = "route";
  TensorView weight, probability, logits;
  ExpertRows rows;
  bool normalize;
};
/// The gradient of the weights in the logits; the choice has none.   (dlogits [N,E] compute type; dweight
/// [M,1] stat)
struct RouteBwdArgs {
  static constexpr auto op_name = "route_bwd";
  TensorView dlogits, dweight, weight, probability;
  ExpertRows rows;
  bool normalize;
};
/// y[n] = residual[n] + sum over the token's rows, in the order of their experts, of weight * x[row], rounded
/// once   (y, residual [N,C], y may be residual; x [M,C]; weight [M,1] stat; residual and weight are
/// optional)
struct CombineRowsArgs {
  static constexpr auto op_name = "combine_rows";
  TensorView y, residual, x, weight;
  ExpertRows rows;
};
/// Backward of y = weight * x, row by row: dweight = sum of dy * x, dx = weight * dy   (dx, dy, x [M,F], dx
/// may be dy; weight, dweight [M,1] stat)
struct RowWeightBwdArgs {
  static constexpr auto op_name = "row_weight_bwd";
  TensorView dx, dweight, dy, x, weight;
};
struct ZeroArgs {
  static constexpr auto op_name = "zero";
  TensorView y;
};
/// y = scale * x with conversion between element types (f32/bf16/f16 into each other; f32 into f64 and c128).
struct CastArgs {
  static constexpr auto op_name = "cast";
  TensorView y, x;
  double scale = 1;
};

/// y = softcap * tanh(scale * x / softcap), or scale * x where softcap is 0   (f32 or the reference type; y
/// may be x)
struct LogitCapArgs {
  static constexpr auto op_name = "logit_cap";
  TensorView y, x;
  double scale = 1, softcap = 0;
};

/// Cross-entropy of logits z = softcap(logit_scale * logits) [M,V] against target[M]:
///   row_loss[i] = logsumexp(z_i) - z_i[target_i];   loss_sum += row_loss in index order (sum type)
///   dlogits = grad_scale * d row_loss / d logits (compute type), may lie over logits row by row (same start,
///   any stride that fits); absent for evaluation.   correct += rows whose largest logit is the target's; may
///   be null.
/// logits f32 (or the reference type); row_loss [M,1] sum type.
struct CrossEntropyArgs {
  static constexpr auto op_name = "cross_entropy";
  TensorView dlogits, row_loss, loss_sum, logits;
  const int32_t* target;
  int64_t* correct = nullptr;
  double grad_scale = 1;
  double logit_scale = 1, softcap = 0;
};

/// sum += sum of squares of g over fixed chunks, in f64   (sum [1,1] sum type; g stat type)
struct SquareSumArgs {
  static constexpr auto op_name = "square_sum";
  TensorView sum, g;
};
/// Elements of a parameter, row by row, that an optimizer's op treats as one block: the unit of 8-bit state.
constexpr int64_t kUpdateBlock = 256;

/// Blocks [first, last) of kUpdateBlock elements of a parameter; the ops update no others.
struct BlockRange {
  int64_t first = 0, last = 0;
  static BlockRange all(const TensorView& p) { return {0, (p.count() + kUpdateBlock - 1) / kUpdateBlock}; }
};

/// How a bf16 parameter without an f32 master takes an update: to one of the two neighbours of the new value,
/// the nearer one more often, so that the mean is right. Element i draws number i of Philox(seed, stream).
struct StochasticRounding {
  uint64_t seed = 0, stream = 0;
};

/// Constants of step t >= 1 of AdamW with decoupled weight decay; the gradient is grad_scale * g.
struct AdamWSettings {
  double lr, beta1, beta2, eps, weight_decay, grad_scale;
  int64_t t;
};

/// torch.optim.AdamW: p [rows,cols] f32 or bf16 (by `rounding`), g alike f32, m and v [1,rows*cols] f32.
struct AdamWArgs {
  static constexpr auto op_name = "adamw";
  TensorView p, g, m, v;
  AdamWSettings settings;
  StochasticRounding rounding;
  BlockRange blocks;
};

/// A moment in 8 bits: one code per element, one scale per block.
struct BlockwiseMoment {
  uint8_t* codes = nullptr;
  float* absmax = nullptr;
};
/// bitsandbytes' 8-bit AdamW, as its CPU backend computes it; p and g as AdamWArgs.
struct AdamW8bitArgs {
  static constexpr auto op_name = "adamw_8bit";
  TensorView p, g;
  BlockwiseMoment m, v;
  AdamWSettings settings;
  StochasticRounding rounding;
  BlockRange blocks;
};

/// torch.optim.SGD without momentum: p -= lr * (grad_scale * g + weight_decay * p); p and g as AdamWArgs.
struct SgdArgs {
  static constexpr auto op_name = "sgd";
  TensorView p, g;
  double lr, weight_decay, grad_scale;
  StochasticRounding rounding;
  BlockRange blocks;
};

}  // namespace lorikeet
