#include "model/model.h"

#include <cmath>
#include <functional>
#include <set>

#include "backend/ref/common.h"
#include "core/philox.h"
#include "model/rope_table.h"
#include "quant/decode.h"

namespace lorikeet {

namespace {

constexpr int64_t kRankMultiple = 16;  // what the kernels' K extension wants
int64_t padded_rank(int64_t r) { return (r + kRankMultiple - 1) / kRankMultiple * kRankMultiple; }

/// Binds slots to weights and parameters. Parameters get memory only after all are declared, so each binding
/// leaves a step for afterwards.
class Builder {
 public:
  Builder(WeightSource& source, const ModelOptions& options, TrainableStore& store, bool dry)
      : source_(source), options_(options), store_(store), dry_(dry) {}

  void finish(bool with_optimizer) {
    store_.allocate(with_optimizer, dry_);
    for (const auto& bind : after_) bind();
    for (const auto& [path, choice] : options_.adapters)
      if (!used_.contains(path))
        throw Error(
            ErrorKind::usage,
            fmt::format("an adapter is asked for module \"{}\", which this model does not have", path));
  }

  NormSlot norm(const std::string& path, int64_t n) {
    NormSlot s;
    s.w = source_.vector(path + ".weight", n);
    return s;
  }
  void learn(NormSlot& s, const std::string& path) {
    if (options_.train_base) base_vector(path + ".weight", s.w, s.dw);
  }

  /// A matrix that learns with the base: its compute copy replaces `w`, its gradient goes to `dw`.
  void base_matrix(const std::string& name, Weight& w, TensorView& dw) {
    const Weight from = w;
    const size_t p = store_.declare(name, ParameterKind::base, {w.rows, w.cols}, 1);
    store_.declare_tensor({name, p, 0, w.rows, 0, w.cols, {w.rows, w.cols}});
    after_.push_back([this, p, from, &w, &dw] {
      const Parameter& q = store_.parameters()[p];
      if (!dry_) fill(q.value, from);
      w = Weight::dense(q.compute);
      dw = q.grad;
    });
  }

  void base_vector(const std::string& name, TensorView& v, TensorView& dv) {
    const TensorView from = v;
    const size_t p = store_.declare(name, ParameterKind::base, v.shape(), 1, /*compute_in_f32=*/true);
    store_.declare_tensor({name, p, 0, 1, 0, v.cols, {v.cols}});
    after_.push_back([this, p, from, &v, &dv] {
      const Parameter& q = store_.parameters()[p];
      if (!dry_) fill(q.value, Weight::dense(from));
      v = q.compute;
      dv = q.grad;
    });
  }

  struct Module {
    std::string path;
    int64_t out, in;
    bool bias;
  };
  void group(LinearGroup& g, const std::vector<Module>& modules) {
    g.count = static_cast<int>(modules.size());
    g.dropout = options_.lora_dropout;
    int64_t rank_total = 0;
    for (size_t i = 0; i < modules.size(); ++i) {
      const Module& m = modules[i];
      LinearSlot& s = g.slots[i];
      s.w = source_.matrix(m.path + ".weight", m.out, m.in);
      if (m.bias) s.bias = source_.vector(m.path + ".bias", m.out);
      if (options_.train_base) {
        base_matrix(m.path + ".weight", s.w, s.dw);
        if (m.bias) base_vector(m.path + ".bias", s.bias, s.dbias);
      }
      s.dropout_stream = stable_hash(m.path);
      const auto a = options_.adapters.find(m.path);
      if (a == options_.adapters.end()) continue;
      used_.insert(m.path);
      s.rank_at = rank_total;
      s.rank = padded_rank(a->second.r);
      s.lora_scale = a->second.scale;
      rank_total += s.rank;
    }
    if (rank_total > 0) adapters(g, modules, rank_total);
  }

 private:
  void adapters(LinearGroup& g, const std::vector<Module>& modules, int64_t rank_total) {
    const size_t a = store_.declare(modules[0].path + ".lora_A (stacked)", ParameterKind::lora_a,
                                    {rank_total, modules[0].in}, 1);
    for (size_t i = 0; i < modules.size(); ++i) {
      const LinearSlot& s = g.slots[i];
      if (s.rank == 0) continue;
      const Module& m = modules[i];
      const int64_t r = options_.adapters.at(m.path).r;
      store_.declare_tensor({m.path + ".lora_A.weight", a, s.rank_at, r, 0, m.in, {r, m.in}});
      const size_t b =
          store_.declare(m.path + ".lora_B", ParameterKind::lora_b, {m.out, s.rank}, s.lora_scale);
      store_.declare_tensor({m.path + ".lora_B.weight", b, 0, m.out, 0, r, {m.out, r}});
      after_.push_back([this, b, slot = &g.slots[i]] {
        slot->lora_b = store_.parameters()[b].compute;
        slot->dlora_b = store_.parameters()[b].grad;
      });
    }
    after_.push_back([this, a, &g] {
      g.lora_a = store_.parameters()[a].compute;
      g.dlora_a = store_.parameters()[a].grad;
    });
  }

  static void fill(TensorView value, const Weight& from) {
    if (value.dtype == DType::f32) {
      decode_rows(from, 0, from.rows, 0, from.cols, value.as<float>(), value.stride);
      return;
    }
    const TensorView source =
        from.dense_view();  // the reference types exist in tests only, over dense weights
    for (int64_t i = 0; i < from.rows; ++i)
      for (int64_t k = 0; k < from.cols; ++k) ref::write(value, i, k, ref::read<Complex>(source, i, k));
  }

  WeightSource& source_;
  const ModelOptions& options_;
  TrainableStore& store_;
  bool dry_;
  std::vector<std::function<void()>> after_;
  std::set<std::string> used_;
};

void build_block(Builder& b, const ModelSpec& s, BlockSlots& w, int64_t layer) {
  const ModuleNames& n = s.names;
  const auto at = [layer](const std::string& pattern) { return layer_path(pattern, layer); };
  w.input_norm = b.norm(at(n.input_norm), s.hidden_size);
  w.post_attention_norm = b.norm(at(n.post_attention_norm), s.hidden_size);
  b.learn(w.input_norm, at(n.input_norm));
  if (s.qk_norm == QkNorm::per_head) {
    w.q_norm = b.norm(at(n.q_norm), s.head_dim);
    w.k_norm = b.norm(at(n.k_norm), s.head_dim);
    b.learn(w.q_norm, at(n.q_norm));
    b.learn(w.k_norm, at(n.k_norm));
  }
  b.group(w.qkv, {{at(n.q), s.q_size(), s.hidden_size, s.qkv_bias},
                  {at(n.k), s.kv_size(), s.hidden_size, s.qkv_bias},
                  {at(n.v), s.kv_size(), s.hidden_size, s.qkv_bias}});
  b.group(w.o, {{at(n.o), s.hidden_size, s.q_size(), s.o_bias}});
  b.learn(w.post_attention_norm, at(n.post_attention_norm));
  b.group(w.gate_up, {{at(n.gate), s.intermediate_size, s.hidden_size, s.mlp_bias},
                      {at(n.up), s.intermediate_size, s.hidden_size, s.mlp_bias}});
  b.group(w.down, {{at(n.down), s.hidden_size, s.intermediate_size, s.mlp_bias}});
  w.attention = {{static_cast<int32_t>(s.num_attention_heads), static_cast<int32_t>(s.num_key_value_heads),
                  static_cast<int32_t>(s.head_dim)},
                 s.attention_scale,
                 s.window.empty() ? 0 : s.window[static_cast<size_t>(layer)],
                 s.attention_softcap,
                 static_cast<int32_t>(s.rope.rotary_dim),
                 false};
}

}  // namespace

std::vector<std::string> linear_module_paths(const ModelSpec& s) {
  std::vector<std::string> paths;
  for (int64_t i = 0; i < s.num_hidden_layers; ++i)
    for (const std::string* p :
         {&s.names.q, &s.names.k, &s.names.v, &s.names.o, &s.names.gate, &s.names.up, &s.names.down})
      paths.push_back(layer_path(*p, i));
  return paths;
}

Model build_model(const ModelSpec& spec, WeightSource& source, const ModelOptions& options,
                  TrainableStore& store, bool with_optimizer, bool dry) {
  Model m;
  m.spec = spec;
  m.compute = options.compute;
  m.blocks.resize(static_cast<size_t>(spec.num_hidden_layers));  // before any binding keeps a reference
  Builder b(source, options, store, dry);

  const std::string embedding_name = spec.names.embedding + ".weight";
  m.embedding = source.matrix(embedding_name, spec.vocab_size, spec.hidden_size);
  for (int64_t i = 0; i < spec.num_hidden_layers; ++i)
    build_block(b, spec, m.blocks[static_cast<size_t>(i)], i);
  m.head.norm = b.norm(spec.names.final_norm, spec.hidden_size);
  m.head.eps = spec.rms_norm_eps;
  m.head.weight_offset = spec.norm_weight_offset;
  m.head.logit_scale = spec.logit_scale;
  m.head.softcap = spec.logit_softcap;
  if (!spec.tie_word_embeddings)
    m.head.w = source.matrix(spec.names.head + ".weight", spec.vocab_size, spec.hidden_size);
  b.learn(m.head.norm, spec.names.final_norm);
  if (options.train_base) {
    b.base_matrix(embedding_name, m.embedding, m.dembedding);
    if (!spec.tie_word_embeddings) b.base_matrix(spec.names.head + ".weight", m.head.w, m.head.dw);
  }
  b.finish(with_optimizer);
  if (spec.tie_word_embeddings) {  // one tensor, one gradient
    m.head.w = m.embedding;
    m.head.dw = m.dembedding;
  }
  make_rope_table(spec.rope, options.positions, dry, m);
  return m;
}

void init_lora(TrainableStore& store, uint64_t seed, bool gaussian) {
  for (const NamedTensor& t : store.tensors()) {
    const ParameterKind kind = store.parameters()[t.parameter].kind;
    if (kind == ParameterKind::base) continue;
    const TensorView v = store.value_of(t);
    const Philox random(seed, stable_hash(t.name));
    const double bound = 1 / std::sqrt(static_cast<double>(t.cols)),
                 std_dev = 1 / static_cast<double>(t.rows);
    for (int64_t i = 0; i < t.rows; ++i)
      for (int64_t k = 0; k < t.cols; ++k) {
        const auto n = static_cast<uint64_t>(i * t.cols + k);
        double x = 0;
        if (kind == ParameterKind::lora_a)
          x = gaussian ? std_dev * random.normal(n)
                       : bound * (2 * static_cast<double>(random.uniform(n)) - 1);
        ref::write(v, i, k, x);
      }
  }
}

}  // namespace lorikeet
