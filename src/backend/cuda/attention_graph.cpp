#include "backend/cuda/attention_graph.h"

#include <limits>

namespace lorikeet::cuda {

namespace {

/// Builds both graphs out of their common parts.
class Composer {
 public:
  explicit Composer(const AttentionShape& shape) : s(shape) {
    t.queries = g.memory({s.rows, 1, 1, 1}, {1, 1, 1, 1}, CUDNN_DATA_INT32);
    t.keys = g.memory({s.rows, 1, 1, 1}, {1, 1, 1, 1}, CUDNN_DATA_INT32);
    scale = g.number(s.scale);
  }

  RaggedTensor ragged(const Dims& dims, const Dims& strides, cudnnDataType_t type) {
    const TensorId at = g.memory({s.rows + 1, 1, 1, 1}, {1, 1, 1, 1}, CUDNN_DATA_INT64);
    return {g.memory(dims, strides, type, at), at};
  }
  /// [tokens, heads*dim]
  RaggedTensor of_queries(int64_t stride) {
    return ragged({s.rows, s.heads, s.most_queries, s.dim}, {s.most_queries * stride, s.dim, stride, 1},
                  CUDNN_DATA_BFLOAT16);
  }
  /// [keys, kv_heads*dim]
  RaggedTensor of_keys(int64_t stride) {
    return ragged({s.rows, s.kv_heads, s.most_keys, s.dim}, {s.most_keys * stride, s.dim, stride, 1},
                  CUDNN_DATA_BFLOAT16);
  }
  /// The same, seen as the transpose of each head.
  RaggedTensor of_keys_transposed(int64_t stride) {
    return ragged({s.rows, s.kv_heads, s.dim, s.most_keys}, {s.most_keys * stride, s.dim, 1, stride},
                  CUDNN_DATA_BFLOAT16);
  }
  /// [tokens, heads] f32
  Dims statistic_dims() const { return {s.rows, s.heads, s.most_queries, 1}; }
  Dims statistic_strides() const { return {s.most_queries * s.strides.lse, 1, s.strides.lse, 1}; }
  RaggedTensor of_statistics() { return ragged(statistic_dims(), statistic_strides(), CUDNN_DATA_FLOAT); }
  TensorId statistic() {
    return g.between(statistic_dims(), {s.heads * s.most_queries, s.most_queries, 1, 1});
  }
  TensorId scores(cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    const int64_t one = s.most_queries * s.most_keys;
    return g.between({s.rows, s.heads, s.most_queries, s.most_keys}, {s.heads * one, one, s.most_keys, 1},
                     type);
  }

  TensorId map(cudnnPointwiseMode_t mode, TensorId x, TensorId b = 0) {
    const TensorId out = scores();
    g.pointwise(mode, out, x, b);
    return out;
  }
  TensorId index(TensorId x, int64_t axis, cudnnDataType_t compute) {
    const TensorId out = scores(CUDNN_DATA_INT32);
    g.pointwise(CUDNN_POINTWISE_GEN_INDEX, out, x, 0, 0, compute, axis);
    return out;
  }
  TensorId shifted(cudnnPointwiseMode_t mode, TensorId index, TensorId by,
                   cudnnDataType_t type = CUDNN_DATA_INT32) {
    const TensorId out = scores(type);
    g.pointwise(mode, out, index, by, 0, type, 3);
    return out;
  }
  TensorId compare(cudnnPointwiseMode_t mode, TensorId a, TensorId b) {
    const TensorId out = scores(CUDNN_DATA_BOOLEAN);
    g.pointwise(mode, out, a, b, 0, CUDNN_DATA_BOOLEAN);
    return out;
  }
  /// x where `keep` holds, minus infinity elsewhere.
  TensorId masked(TensorId x, TensorId keep) {
    const TensorId out = scores();
    g.pointwise(CUDNN_POINTWISE_BINARY_SELECT, out, x, g.number(-std::numeric_limits<float>::infinity()),
                keep);
    return out;
  }
  /// Hides what lies beyond a row.
  TensorId inside_row(TensorId x) {
    const TensorId is_query = compare(CUDNN_POINTWISE_CMP_LT, index(x, 2, CUDNN_DATA_INT32), t.queries);
    const TensorId is_key = compare(CUDNN_POINTWISE_CMP_LT, index(x, 3, CUDNN_DATA_INT32), t.keys);
    return masked(x, compare(CUDNN_POINTWISE_LOGICAL_AND, is_query, is_key));
  }
  /// Hides the keys after a query: query + keys - queries >= key is left.
  TensorId causal(TensorId x) {
    TensorId query = index(x, 2, CUDNN_DATA_FLOAT);
    const TensorId key = index(x, 3, CUDNN_DATA_FLOAT);
    if (s.more_keys) {
      query = shifted(CUDNN_POINTWISE_ADD, query, t.keys);
      query = shifted(CUDNN_POINTWISE_SUB, query, t.queries);
    }
    return masked(x, compare(CUDNN_POINTWISE_CMP_GE, query, key));
  }
  /// Hides the keys before the window: key + window - keys + queries > query is left.
  TensorId inside_window(TensorId x) {
    const TensorId query = index(x, 2, CUDNN_DATA_FLOAT);
    TensorId key = index(x, 3, CUDNN_DATA_FLOAT);
    if (s.more_keys) {
      key = shifted(CUDNN_POINTWISE_ADD, key, g.number(s.window));
      key = shifted(CUDNN_POINTWISE_SUB, key, t.keys);
      key = shifted(CUDNN_POINTWISE_ADD, key, t.queries);
    } else {
      key = shifted(CUDNN_POINTWISE_ADD, key, g.number(static_cast<float>(s.window)), CUDNN_DATA_FLOAT);
    }
    return masked(x, compare(CUDNN_POINTWISE_CMP_GT, key, query));
  }
  TensorId mask(TensorId x) {
    const TensorId seen = causal(inside_row(x));
    return s.window > 0 ? inside_window(seen) : seen;
  }
  TensorId scaled_scores(bool pad) {
    const TensorId out = scores();
    g.matmul(out, t.q.tensor, t.k.tensor, t.queries, t.keys, 0, pad);
    return map(CUDNN_POINTWISE_MUL, out, scale);
  }

  void forward() {
    t.q = of_queries(s.strides.q);
    t.k = of_keys_transposed(s.strides.k);
    t.v = of_keys(s.strides.v);
    t.o = of_queries(s.strides.o);
    const TensorId x = mask(scaled_scores(true));
    const TensorId maximum = statistic(), sum = statistic(), log = statistic();
    g.reduce(CUDNN_REDUCE_TENSOR_MAX, maximum, x);
    const TensorId e = map(CUDNN_POINTWISE_EXP, map(CUDNN_POINTWISE_SUB, x, maximum));
    g.reduce(CUDNN_REDUCE_TENSOR_ADD, sum, e);
    g.pointwise(CUDNN_POINTWISE_LOG, log, sum);
    if (s.pass == AttentionShape::Pass::forward) t.lse = of_statistics();
    g.pointwise(CUDNN_POINTWISE_ADD, t.lse.tensor ? t.lse.tensor : statistic(), maximum, log);
    const TensorId p = scores(CUDNN_DATA_BFLOAT16);
    g.pointwise(CUDNN_POINTWISE_DIV, p, e, sum);
    g.matmul(t.o.tensor, p, t.v.tensor, t.queries, 0, t.keys);
  }

  void delta() {
    t.delta = g.memory(statistic_dims(), statistic_strides(), CUDNN_DATA_FLOAT, t.lse.at);
    const int64_t one = s.most_queries * s.dim;
    const TensorId product =
        g.between({s.rows, s.heads, s.most_queries, s.dim}, {s.heads * one, one, s.heads * s.dim, 1});
    const TensorId sum = statistic();
    g.pointwise(CUDNN_POINTWISE_MUL, product, t.dout.tensor, t.o.tensor);
    g.reduce(CUDNN_REDUCE_TENSOR_ADD, sum, product);
    // The engines want a factor here: that of dropout, 1 without.
    g.pointwise(CUDNN_POINTWISE_MUL, t.delta, sum, g.number(1));
  }
  /// out = x^T right over all queries, summed over the heads that share a key head. The sums of single heads
  /// lie in `heads`, where there are several.
  void transposed_product(const RaggedTensor& out, int64_t stride, TensorId* heads, TensorId x,
                          TensorId right) {
    const int64_t one = s.most_queries * s.most_keys, group = s.heads / s.kv_heads;
    const TensorId turned = g.between({s.rows, s.heads, s.most_keys, s.most_queries},
                                      {s.heads * one, one, 1, s.most_keys}, CUDNN_DATA_BFLOAT16);
    g.reshape(turned, x);
    if (group == 1) return g.matmul(out.tensor, turned, right, t.keys, 0, t.queries);
    *heads = g.memory({s.rows, s.heads, s.most_keys, s.dim},
                      {s.most_keys * stride * group, s.dim, stride * group, 1}, CUDNN_DATA_BFLOAT16, out.at);
    g.matmul(*heads, turned, right, t.keys, 0, t.queries);
    g.reduce(CUDNN_REDUCE_TENSOR_ADD, out.tensor, *heads);
  }

  void backward() {
    t.q = of_queries(s.strides.q);
    t.k = of_keys_transposed(s.strides.k);
    t.v = of_keys_transposed(s.strides.v);
    t.o = of_queries(s.strides.o);
    t.dout = of_queries(s.strides.dout);
    t.lse = of_statistics();
    t.dq = of_queries(s.strides.dq);
    t.dk = of_keys(s.strides.dk);
    t.dv = of_keys(s.strides.dv);
    delta();
    const TensorId p =
        map(CUDNN_POINTWISE_EXP, mask(map(CUDNN_POINTWISE_SUB, scaled_scores(false), t.lse.tensor)));
    transposed_product(t.dv, s.strides.dv, &t.dv_heads, p, t.dout.tensor);
    const TensorId dp = scores();
    g.matmul(dp, t.dout.tensor, t.v.tensor, t.queries, t.keys, 0);
    const TensorId ds = map(CUDNN_POINTWISE_MUL, map(CUDNN_POINTWISE_SUB, dp, t.delta), p);
    const TensorId scaled = map(CUDNN_POINTWISE_MUL, ds, scale);
    transposed_product(t.dk, s.strides.dk, &t.dk_heads, scaled, t.q.tensor);
    const TensorId k =
        g.between({s.rows, s.kv_heads, s.most_keys, s.dim},
                  {s.most_keys * s.strides.k, s.dim, s.strides.k, 1}, CUDNN_DATA_BFLOAT16, t.k.at);
    g.reshape(k, t.k.tensor);
    if (s.pass == AttentionShape::Pass::ordered_backward)
      return g.matmul(t.dq.tensor, scaled, k, t.queries, 0, t.keys);
    t.dq_sum = g.memory({s.rows, s.heads, s.most_queries, s.dim},
                        {s.most_queries * s.strides.dq, s.dim, s.strides.dq, 1}, CUDNN_DATA_FLOAT, t.dq.at);
    g.matmul(t.dq_sum, scaled, k, t.queries, 0, t.keys);
    g.pointwise(CUDNN_POINTWISE_IDENTITY, t.dq.tensor, t.dq_sum);
  }

  const AttentionShape& s;
  Graph g;
  AttentionTensors t;
  TensorId scale;
};

}  // namespace

AttentionGraph attention_graph(const AttentionShape& s) {
  Composer c(s);
  if (s.pass == AttentionShape::Pass::inference || s.pass == AttentionShape::Pass::forward)
    c.forward();
  else
    c.backward();
  return {std::move(c.g), c.t};
}

}  // namespace lorikeet::cuda
