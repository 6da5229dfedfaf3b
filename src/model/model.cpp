#include "model/model.h"

#include <algorithm>
#include <array>
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

  void finish(bool with_gradients) {
    store_.allocate(with_gradients, dry_);
    for (const auto& bind : after_) bind();
    for (const auto& [path, choice] : options_.adapters)
      if (!used_.contains(path))
        throw Error(
            ErrorKind::usage,
            fmt::format("an adapter is asked for module \"{}\", which this model does not have", path));
  }

  /// Whether a module's own weights learn.
  bool learns(const std::string& path) const {
    return options_.train_base || options_.modules_to_save.contains(path);
  }

  /// An empty path: the family has no such norm.
  void norm(NormSlot& s, const ModelSpec& spec, const std::string& path, int64_t n) {
    if (path.empty()) return;
    s.kind = spec.norm;
    s.eps = spec.norm_eps;
    s.weight_offset = spec.norm_weight_offset;
    s.w = source_.vector(path + ".weight", n);
    if (spec.norm_bias) s.b = source_.vector(path + ".bias", n);
    if (!learns(path)) return;
    base_vector(path + ".weight", s.w, s.dw);
    if (spec.norm_bias) base_vector(path + ".bias", s.b, s.db);
  }

  /// A matrix that learns with the base: its compute copy replaces `w`, its gradient goes to `dw`.
  void base_matrix(const std::string& name, Weight& w, TensorView& dw) {
    if (w.format != WeightFormat::dense)
      throw Error(ErrorKind::unsupported,
                  fmt::format("\"{}\" is held quantized and cannot be trained in full", name),
                  "lora_modules_to_save", "use --method lora, or leave that module out");
    const Weight from = w;
    const size_t p = store_.declare(name, ParameterKind::base, {w.rows, w.cols}, 1);
    store_.declare_tensor({name, p, 0, w.rows, 0, w.cols, {w.rows, w.cols}});
    after_.push_back([this, name, p, from, &w, &dw] {
      const Parameter& q = store_.parameters()[p];
      if (!dry_ && from.data) fill(q.value, from);  // a source of sizes only has no values
      source_.release(name);
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
      if (!dry_ && from.data) fill(q.value, Weight::dense(from));
      v = q.compute;
      dv = q.grad;
    });
  }

  struct Module {
    std::string path;
    int64_t out, in;
    bool bias;
    std::string tied_to = {};  ///< path of the module whose weight this one uses, or empty
  };
  void group(LinearGroup& g, const std::vector<Module>& modules) {
    g.count = static_cast<int>(modules.size());
    g.dropout = options_.lora_dropout;
    int64_t rank_total = 0;
    for (size_t i = 0; i < modules.size(); ++i) {
      const Module& m = modules[i];
      LinearSlot& s = g.slots[i];
      s.w = source_.matrix((m.tied_to.empty() ? m.path : m.tied_to) + ".weight", m.out, m.in);
      if (m.bias) s.bias = source_.vector(m.path + ".bias", m.out);
      if (learns(m.path)) {
        if (m.tied_to.empty() || !options_.train_base) base_matrix(m.path + ".weight", s.w, s.dw);
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

  void experts(ExpertsSlot& s, const ModelSpec& spec, int64_t layer) {
    const ModuleNames& n = spec.names;
    const int64_t c = spec.hidden_size, f = spec.moe_intermediate_size;
    s.top_k = spec.num_experts_per_tok;
    s.normalize = spec.norm_topk_prob;
    s.router = source_.matrix(layer_path(n.router, layer) + ".weight", spec.num_local_experts, c);
    for (int64_t e = 0; e < spec.num_local_experts; ++e) {
      const auto matrix = [&](const std::string& name, int64_t rows, int64_t cols) {
        return source_.matrix(expert_path(name, layer, e) + ".weight", rows, cols);
      };
      s.experts.push_back(
          {matrix(n.expert_gate, f, c), matrix(n.expert_up, f, c), matrix(n.expert_down, c, f)});
    }
  }

  /// A table of vectors for tokens or positions.
  void embedding(EmbeddingSlot& s, const std::string& path, int64_t rows, int64_t cols) {
    s.w = source_.matrix(path + ".weight", rows, cols);
    if (learns(path)) base_matrix(path + ".weight", s.w, s.dw);
    const auto a = options_.adapters.find(path);
    if (a != options_.adapters.end()) embedding_adapter(s, path, a->second);
  }

  /// The rows of a module's matrix that learn, bound to every slot that reads it.
  void token_rows(const std::string& path, Shape matrix, const std::vector<LearningRows*>& slots) {
    const auto it = options_.token_rows.find(path);
    if (it == options_.token_rows.end()) return;
    const std::vector<int32_t>& ids = it->second;
    const std::string name = path + ".token_adapter.trainable_tokens_delta";
    const auto n = static_cast<int64_t>(ids.size());
    const size_t p = store_.declare(name, ParameterKind::token_rows, {n, matrix.cols}, 1);
    store_.declare_tensor({name, p, 0, n, 0, matrix.cols, {n, matrix.cols}});
    for (const int32_t id : ids) LORIKEET_CHECK(id >= 0 && id < matrix.rows);
    store_.declare_rows({p, source_.writable(path + ".weight"), ids});
    const TokenRows& rows = store_.token_rows().back();
    after_.push_back([this, p, &rows, slots] {
      const Parameter& q = store_.parameters()[p];
      for (size_t i = 0; rows.matrix.data && !dry_ && i < rows.ids.size(); ++i)
        fill(q.value.row_range(static_cast<int64_t>(i), 1),
             Weight::dense(rows.matrix.row_range(rows.ids[i], 1)));
      for (LearningRows* slot : slots) *slot = {rows.ids, q.grad};
    });
  }

 private:
  void embedding_adapter(EmbeddingSlot& s, const std::string& path, const AdapterChoice& choice) {
    LORIKEET_CHECK(!choice.dora && !choice.bias);
    used_.insert(path);
    s.lora_scale = choice.scale;
    const int64_t r = choice.r, padded = padded_rank(r), rows = s.w.rows, cols = s.w.cols;
    const std::string a_name = path + ".lora_embedding_A", b_name = path + ".lora_embedding_B";
    const size_t a = store_.declare(a_name, ParameterKind::embedding_a, {rows, padded}, 1);
    store_.declare_tensor({a_name, a, 0, rows, 0, r, {r, rows}, /*transposed=*/true});
    const size_t b = store_.declare(b_name, ParameterKind::embedding_b, {cols, padded}, s.lora_scale);
    store_.declare_tensor({b_name, b, 0, cols, 0, r, {cols, r}});
    after_.push_back([this, a, b, slot = &s] {
      slot->lora_a = store_.parameters()[a].compute;
      slot->dlora_a = store_.parameters()[a].grad;
      slot->lora_b = store_.parameters()[b].compute;
      slot->dlora_b = store_.parameters()[b].grad;
    });
  }

  /// The bias of B: the layer's own bias then is the sum of both.
  void adapter_bias(LinearSlot& s, const std::string& path) {
    const std::string name = path + ".lora_B.bias";
    const int64_t n = s.w.rows;
    const size_t p =
        store_.declare(name, ParameterKind::lora_bias, {1, n}, s.lora_scale, /*compute_in_f32=*/true);
    store_.declare_tensor({name, p, 0, 1, 0, n, {n}});
    store_.parameters()[p].frozen = s.bias;
    after_.push_back([this, p, slot = &s] {
      slot->bias = store_.parameters()[p].compute;
      slot->dbias = store_.parameters()[p].grad;
      slot->dbias_scale = slot->lora_scale;
    });
  }

  void adapters(LinearGroup& g, const std::vector<Module>& modules, int64_t rank_total) {
    const size_t a = store_.declare(modules[0].path + ".lora_A (stacked)", ParameterKind::lora_a,
                                    {rank_total, modules[0].in}, 1);
    for (size_t i = 0; i < modules.size(); ++i) {
      const LinearSlot& s = g.slots[i];
      if (s.rank == 0) continue;
      const Module& m = modules[i];
      const AdapterChoice& choice = options_.adapters.at(m.path);
      const int64_t r = choice.r;
      store_.declare_tensor({m.path + ".lora_A.weight", a, s.rank_at, r, 0, m.in, {r, m.in}});
      const size_t b =
          store_.declare(m.path + ".lora_B", ParameterKind::lora_b, {m.out, s.rank}, s.lora_scale);
      store_.declare_tensor({m.path + ".lora_B.weight", b, 0, m.out, 0, r, {m.out, r}});
      after_.push_back([this, b, slot = &g.slots[i]] {
        slot->lora_b = store_.parameters()[b].compute;
        slot->dlora_b = store_.parameters()[b].grad;
      });
      if (choice.dora) magnitude(g.slots[i], m.path, a, b);
      if (choice.bias) adapter_bias(g.slots[i], m.path);
    }
    after_.push_back([this, a, &g] {
      g.lora_a = store_.parameters()[a].compute;
      g.dlora_a = store_.parameters()[a].grad;
    });
  }

  void magnitude(LinearSlot& s, const std::string& path, size_t a, size_t b) {
    const size_t m = store_.declare(path + ".lora_magnitude_vector", ParameterKind::lora_magnitude,
                                    {1, s.w.rows}, 1, /*compute_in_f32=*/true);
    store_.declare_tensor({path + ".lora_magnitude_vector", m, 0, 1, 0, s.w.rows, {s.w.rows}});
    const size_t number = store_.declare_dora({m, a, b, s.rank_at, s.w, {}, {}});
    after_.push_back([this, m, number, slot = &s] {
      const DoraModule& d = store_.dora(number);
      slot->dora = {d.scale, d.inverse_norm, store_.parameters()[m].grad};
    });
  }

  static void fill(TensorView value, const Weight& from) {
    if (value.dtype == DType::f32) {
      decode_rows(from, 0, from.rows, 0, from.cols, value.as<float>(), value.stride);
      return;
    }
    if (value.dtype == DType::bf16) {
      std::vector<float> row(static_cast<size_t>(from.cols));
      for (int64_t i = 0; i < from.rows; ++i) {
        decode_rows(from, i, i + 1, 0, from.cols, row.data(), from.cols);
        std::transform(row.begin(), row.end(), value.row<Bf16>(i), [](float x) { return to_bf16(x); });
      }
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

using Modules = std::vector<Builder::Module>;

Modules qkv_modules(const ModelSpec& s) {
  const ModuleNames& n = s.names;
  if (s.qkv != QkvLayout::separate) return {{n.qkv, s.q_size() + 2 * s.kv_size(), s.hidden_size, s.qkv_bias}};
  return {{n.q, s.q_size(), s.hidden_size, s.qkv_bias},
          {n.k, s.kv_size(), s.hidden_size, s.qkv_bias},
          {n.v, s.kv_size(), s.hidden_size, s.qkv_bias}};
}

Modules gate_up_modules(const ModelSpec& s) {
  const ModuleNames& n = s.names;
  const Builder::Module up{n.up, s.intermediate_size, s.hidden_size, s.mlp_bias};
  switch (s.mlp) {
    case MlpKind::gated:
      return {{n.gate, s.intermediate_size, s.hidden_size, s.mlp_bias}, up};
    case MlpKind::gated_stacked:
      return {{n.gate_up, 2 * s.intermediate_size, s.hidden_size, s.mlp_bias}};
    case MlpKind::plain:
      return {up};
  }
  return {};
}

/// The linear layers of a block, group by group, with {} for its number.
std::array<Modules, 4> linear_modules(const ModelSpec& s) {
  return {qkv_modules(s), Modules{{s.names.o, s.hidden_size, s.q_size(), s.o_bias}}, gate_up_modules(s),
          Modules{{s.names.down, s.hidden_size, s.intermediate_size, s.mlp_bias}}};
}

void place_heads(const ModelSpec& s, BlockSlots& w) {
  const auto d = static_cast<int32_t>(s.head_dim), q = static_cast<int32_t>(s.q_size()),
             kv = static_cast<int32_t>(s.kv_size()),
             group = static_cast<int32_t>(s.num_attention_heads / s.num_key_value_heads);
  if (s.qkv == QkvLayout::stacked) {
    w.q_heads = {0, 0, 0};
    w.k_heads = {q, 0, 0};
    w.v_heads = {q + kv, 0, 0};
    return;
  }
  const int32_t step = (group + 2) * d;  // per_head is per_group with one query to a key
  w.q_heads = {0, group, step};
  w.k_heads = {group * d, 1, step};
  w.v_heads = {(group + 1) * d, 1, step};
}

AttentionSpec attention_spec(const ModelSpec& s, int64_t layer) {
  AttentionSpec a;
  a.heads = {static_cast<int32_t>(s.num_attention_heads), static_cast<int32_t>(s.num_key_value_heads),
             static_cast<int32_t>(s.head_dim)};
  a.scale = s.attention_scale;
  a.window = s.window_of(layer);
  a.softcap = s.attention_softcap;
  const bool second = s.window_rope && a.window > 0;
  const RopeSpec& rope = second ? *s.window_rope : s.rope;
  a.rope = second ? 1 : 0;
  a.rotary_dim = s.turns(layer) ? static_cast<int32_t>(rope.rotary_dim) : 0;
  a.interleaved = rope.interleaved;
  return a;
}

void build_block(Builder& b, const ModelSpec& s, BlockSlots& w, int64_t layer) {
  const ModuleNames& n = s.names;
  const auto at = [layer](const std::string& pattern) { return layer_path(pattern, layer); };
  const auto groups = linear_modules(s);
  const auto group = [&](LinearGroup& g, Modules modules) {
    for (Builder::Module& m : modules) m.path = at(m.path);
    b.group(g, modules);
  };
  b.norm(w.input_norm, s, at(n.input_norm), s.hidden_size);
  if (s.qk_norm != QkNorm::none) {
    const bool whole = s.qk_norm == QkNorm::whole;
    b.norm(w.q_norm, s, at(n.q_norm), whole ? s.q_size() : s.head_dim);
    b.norm(w.k_norm, s, at(n.k_norm), whole ? s.kv_size() : s.head_dim);
  }
  group(w.qkv, groups[0]);
  group(w.o, groups[1]);
  b.norm(w.attention_out_norm, s, at(n.attention_out_norm), s.hidden_size);
  b.norm(w.mlp_norm, s, at(n.mlp_norm), s.hidden_size);
  if (s.has_experts(layer)) {
    b.experts(w.experts, s, layer);
  } else {
    group(w.gate_up, groups[2]);
    group(w.down, groups[3]);
  }
  b.norm(w.mlp_out_norm, s, at(n.mlp_out_norm), s.hidden_size);
  w.attention = attention_spec(s, layer);
  if (s.qkv != QkvLayout::separate) place_heads(s, w);
}

void build_positions(Builder& b, const ModelSpec& s, const ModelOptions& o, Model& m) {
  if (s.names.positions.empty()) return;
  if (o.positions > s.max_position_embeddings)
    throw Error(ErrorKind::usage,
                fmt::format("rows of {} tokens are asked for, the model has learned {} positions",
                            o.positions, s.max_position_embeddings),
                "max_length", fmt::format("--max-length {}", s.max_position_embeddings));
  b.embedding(m.positions_table, s.names.positions, s.max_position_embeddings + s.positions_offset,
              s.hidden_size);
}

double embedding_scale(const ModelSpec& s, DType compute) {
  if (!s.embedding_scales_itself || compute != DType::bf16) return s.embedding_scale;
  return static_cast<double>(to_float(to_bf16(static_cast<float>(s.embedding_scale))));
}

/// The rows before the first position are unused.
void skip_first_positions(const ModelSpec& s, EmbeddingSlot& positions) {
  if (!positions || s.positions_offset == 0) return;
  const int64_t first = s.positions_offset, n = s.max_position_embeddings;
  positions.w = Weight::dense(positions.w.dense_view().row_range(first, n));
  if (positions.dw) positions.dw = positions.dw.row_range(first, n);
}

}  // namespace

std::vector<std::string> linear_module_paths(const ModelSpec& s) {
  std::vector<std::string> paths;
  const auto groups = linear_modules(s);
  for (int64_t i = 0; i < s.num_hidden_layers; ++i)
    for (size_t g = 0; g < (s.has_experts(i) ? 2 : groups.size()); ++g)
      for (const Builder::Module& m : groups[g]) paths.push_back(layer_path(m.path, i));
  return paths;
}

std::vector<std::string> embedding_module_paths(const ModelSpec& s) {
  if (s.names.head != ModuleNames().head) return {s.names.embedding};  // transformers 5 calls it otherwise
  return {s.names.embedding, s.names.head};
}

bool unties(const ModelSpec& s, const ModelOptions& o) {
  if (!s.tie_word_embeddings) return false;
  for (const std::string& path : {s.names.embedding, s.names.head})
    if (o.adapters.contains(path) || o.modules_to_save.contains(path)) return true;
  return false;
}

TensorView WeightSource::writable(const std::string& name) const {
  throw Error(ErrorKind::internal, fmt::format("the rows of \"{}\" cannot be changed", name));
}

Model build_model(const ModelSpec& spec, WeightSource& source, const ModelOptions& options,
                  TrainableStore& store, bool with_gradients, bool dry) {
  if (options.train_base && spec.num_local_experts > 0)
    throw Error(ErrorKind::unsupported, "full fine-tuning of a mixture of experts is not supported", "method",
                "use --method lora or qlora with adapters on the attention");
  Model m;
  m.spec = spec;
  m.compute = options.compute;
  m.neftune_noise_alpha = options.neftune_noise_alpha;
  m.blocks.resize(static_cast<size_t>(spec.num_hidden_layers));  // before any binding keeps a reference
  Builder b(source, options, store, dry);

  m.positions = options.positions;
  const ModuleNames& names = spec.names;
  const bool tied = spec.tie_word_embeddings;
  const Shape table{spec.vocab_size, spec.hidden_size};
  m.embedding.scale = embedding_scale(spec, options.compute);
  m.embedding.padding_idx = static_cast<int32_t>(spec.padding_idx);
  b.embedding(m.embedding, names.embedding, table.rows, table.cols);
  build_positions(b, spec, options, m);
  for (int64_t i = 0; i < spec.num_hidden_layers; ++i)
    build_block(b, spec, m.blocks[static_cast<size_t>(i)], i);
  b.norm(m.head.norm, spec, names.final_norm, spec.hidden_size);
  m.head.logit_scale = spec.logit_scale;
  m.head.softcap = spec.logit_softcap;
  b.group(m.head.linear, {{names.head, table.rows, table.cols, spec.head_bias, tied ? names.embedding : ""}});
  std::vector<LearningRows*> embedding_rows = {&m.embedding.rows};
  if (tied) embedding_rows.push_back(&m.head.out().rows);
  b.token_rows(names.embedding, table, embedding_rows);
  if (!tied) b.token_rows(names.head, table, {&m.head.out().rows});
  b.finish(with_gradients);
  if (tied && options.train_base) {  // one tensor, one gradient
    m.head.out().w = m.embedding.w;
    m.head.out().dw = m.embedding.dw;
  }
  skip_first_positions(spec, m.positions_table);
  make_rope_tables(dry, m);
  return m;
}

}  // namespace lorikeet
