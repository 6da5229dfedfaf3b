#pragma once
// A tiny random model over any element type, and one step of it: what the engine tests share.
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/philox.h"
#include "model/decoder.h"

namespace lorikeet::testing {

inline void set_element(const TensorView& v, int64_t r, int64_t c, Complex x) {
  if (v.dtype == DType::f32)
    v.row<float>(r)[c] = static_cast<float>(x.real());
  else if (v.dtype == DType::bf16)
    v.row<Bf16>(r)[c] = to_bf16(static_cast<float>(x.real()));
  else if (v.dtype == DType::f64)
    v.row<double>(r)[c] = x.real();
  else
    v.row<Complex>(r)[c] = x;
}
inline Complex get_element(const TensorView& v, int64_t r, int64_t c) {
  if (v.dtype == DType::f32) return v.row<float>(r)[c];
  if (v.dtype == DType::bf16) return to_float(v.row<Bf16>(r)[c]);
  if (v.dtype == DType::f64) return v.row<double>(r)[c];
  return v.row<Complex>(r)[c];
}

/// Random weights, the same numbers in every element type (drawn as float, then widened).
class RandomSource : public WeightSource {
 public:
  RandomSource(DType dtype, bool dry) : dtype_(dtype), dry_(dry) {}
  Weight matrix(const std::string& name, int64_t rows, int64_t cols) override {
    return Weight::dense(make(name, {rows, cols}, 0.25f, 0));
  }
  TensorView vector(const std::string& name, int64_t n) override { return make(name, {1, n}, 0.3f, 1); }
  TensorView writable(const std::string& name) const override { return made_.at(name); }

 private:
  TensorView make(const std::string& name, Shape s, float scale, float shift) {
    if (const auto it = made_.find(name); it != made_.end()) return it->second;
    return made_[name] = dry_ ? TensorView(nullptr, s, dtype_) : filled(name, s, scale, shift);
  }
  TensorView filled(const std::string& name, Shape s, float scale, float shift) {
    memory_.push_back(std::make_unique<std::byte[]>(static_cast<size_t>(s.count()) * size_of(dtype_)));
    const TensorView v(memory_.back().get(), s, dtype_);
    const Philox random(7, stable_hash(name));
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t c = 0; c < s.cols; ++c)
        set_element(v, r, c, shift + scale * (2 * random.uniform(static_cast<uint64_t>(r * s.cols + c)) - 1));
    return v;
  }
  DType dtype_;
  bool dry_;
  std::deque<std::unique_ptr<std::byte[]>> memory_;
  std::map<std::string, TensorView> made_;
};

/// Odd sizes throughout: no dimension is a multiple of 16, the rank is not its own padding.
inline ModelSpec tiny_spec() {
  ModelSpec s;
  s.vocab_size = 43;
  s.hidden_size = 36;
  s.intermediate_size = 52;
  s.num_hidden_layers = 4;
  s.num_attention_heads = 6;
  s.num_key_value_heads = 2;
  s.head_dim = 6;
  s.max_position_embeddings = 64;
  s.norm_eps = 1e-5;
  s.attention_scale = 0.4;
  s.rope.rotary_dim = 6;
  return s;
}

/// The same with a mixture of experts in every block.
inline ModelSpec experts_spec() {
  ModelSpec s = tiny_spec();
  s.num_local_experts = 5;
  s.num_experts_per_tok = 2;
  s.moe_intermediate_size = 21;
  s.norm_topk_prob = true;
  return s;
}

/// Rows of the given lengths end to end; tokens and labels depend on the place in the macro-batch only.
struct HostBatch {
  std::vector<int32_t> tokens, positions, target_at, target_id;
  std::vector<RowSpan> rows;
  std::vector<int64_t> row_ids;
  MicroBatch view() const { return {tokens, positions, rows, target_at, target_id, row_ids}; }
};
inline HostBatch make_batch(const std::vector<int>& lengths, int vocab, int first = 0) {
  HostBatch b;
  for (const int length : lengths) {
    const auto begin = static_cast<int32_t>(b.tokens.size());
    b.rows.push_back({begin, length, begin, length});
    b.row_ids.push_back(first + begin);
    for (int i = 0; i < length; ++i) {
      const int id = first + static_cast<int>(b.tokens.size());
      if (id % 3) {
        b.target_at.push_back(static_cast<int32_t>(b.tokens.size()));
        b.target_id.push_back((id * 7 + 3) % vocab);
      }
      b.tokens.push_back((id * 13 + 5) % vocab);
      b.positions.push_back(i);
    }
  }
  return b;
}

struct StepSetup {
  ModelSpec spec = tiny_spec();
  DType dtype = DType::f32;
  int64_t kept = 4;
  int threads = 1;
  bool nan_fill = false, train_base = false, dora = false, bias = false;
  bool heads = false;           ///< adapters on embedding and head, and on few others
  std::vector<int32_t> tokens;  ///< rows of the embedding (and of a tied head) that learn
  double dropout = 0, neftune = 0;
};

/// A model with adapters on most modules, ready to step.
class Engine {
 public:
  explicit Engine(const StepSetup& s)
      : setup_(s), source_(s.dtype, false), store_(s.dtype), threads_(s.threads) {
    ModelOptions o = options();
    model_ = std::make_unique<Model>(build_model(s.spec, source_, o, store_, true, false));
    for (const NamedTensor& t : store_.tensors()) {
      const ParameterKind kind = store_.parameters()[t.parameter].kind;
      if (kind == ParameterKind::base) continue;
      const float shift = kind == ParameterKind::lora_magnitude ? 1.0f : 0.0f;
      const TensorView v = store_.value_of(t);
      const Philox random(11, stable_hash(t.name));
      for (int64_t r = 0; r < t.rows; ++r)
        for (int64_t c = 0; c < t.cols; ++c)
          set_element(v, r, c,
                      shift + 0.3f * (2 * random.uniform(static_cast<uint64_t>(r * t.cols + c)) - 1));
    }
  }

  struct Result {
    size_t planned = 0, used = 0;
    Complex loss;
    std::vector<double> grads;
    std::vector<double> token_losses;
  };

  Result step(const std::vector<HostBatch>& batches) {
    Result r;
    size_t targets = 0;
    for (const HostBatch& b : batches) targets += b.target_at.size();
    const double scale = 1.0 / static_cast<double>(targets);
    const Device device = stat_dtype(setup_.dtype) == DType::f32 ? Device::cpu : Device::reference;
    {
      Arena plan = Arena::dry();
      RandomSource dry_source(setup_.dtype, true);
      TrainableStore dry_store(setup_.dtype);
      const Model dry_model = build_model(setup_.spec, dry_source, options(), dry_store, true, true);
      run(dry_model, {device, &threads_, &plan}, batches, scale,
          TensorView(nullptr, {1, 1}, sum_dtype(setup_.dtype)), nullptr);
      r.planned = plan.high_water();
    }
    Arena arena(r.planned);
    arena.fill_with_nan(setup_.nan_fill);
    const Stream stream{device, &threads_, &arena};
    store_.update_compute(stream);
    store_.zero_grad(stream);
    Complex loss = 0;
    r.token_losses.resize(targets);
    const TensorView sum(&loss, {1, 1}, sum_dtype(setup_.dtype));
    run(*model_, stream, batches, scale, sum, r.token_losses.data());
    r.used = arena.high_water();
    r.loss = get_element(sum, 0, 0) * scale;
    for (const NamedTensor& t : store_.tensors()) {
      const TensorView g = store_.grad_of(t);
      for (int64_t i = 0; i < t.rows; ++i)
        for (int64_t k = 0; k < t.cols; ++k) r.grads.push_back(get_element(g, i, k).real());
    }
    return r;
  }

  TrainableStore& store() { return store_; }
  const Model& model() const { return *model_; }
  ThreadPool& threads() { return threads_; }

 private:
  ModelOptions options() const {
    ModelOptions o;
    o.compute = setup_.dtype;
    o.positions = 32;
    o.train_base = setup_.train_base;
    o.lora_dropout = setup_.dropout;
    o.neftune_noise_alpha = setup_.neftune;
    if (setup_.train_base) return o;
    if (setup_.heads)
      for (const std::string& path : embedding_module_paths(setup_.spec)) o.adapters[path] = {5, 1.5};
    if (!setup_.tokens.empty()) o.token_rows[setup_.spec.names.embedding] = setup_.tokens;
    int i = setup_.heads ? 3 : 0;
    for (const std::string& path : linear_module_paths(setup_.spec))
      if (++i % 5)
        // Some stay without, ranks differ.
        o.adapters[path] = {3 + i % 4, 1.5, setup_.dora && i % 2 == 0, setup_.bias && i % 3 == 0};
    return o;
  }
  void run(const Model& m, const Stream& stream, const std::vector<HostBatch>& batches, double scale,
           TensorView loss, double* token_losses) {
    Decoder decoder(m, stream);
    for (const HostBatch& b : batches) {
      const MicroBatch mb = b.view();
      decoder.forward_backward(mb, scale, setup_.kept, {setup_.dropout + setup_.neftune > 0, 5, 3},
                               {loss, nullptr, token_losses});
      if (token_losses) token_losses += b.target_at.size();
    }
  }

  StepSetup setup_;
  RandomSource source_;
  TrainableStore store_;
  ThreadPool threads_;
  std::unique_ptr<Model> model_;
};

inline double nmse(const std::vector<double>& x, const std::vector<double>& exact) {
  double num = 0, den = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    num += (x[i] - exact[i]) * (x[i] - exact[i]);
    den += exact[i] * exact[i];
  }
  return num / den;
}
inline bool same_bits(const Engine::Result& a, const Engine::Result& b) {
  return a.loss == b.loss && a.grads.size() == b.grads.size() &&
         std::memcmp(a.grads.data(), b.grads.data(), a.grads.size() * sizeof(double)) == 0;
}

}  // namespace lorikeet::testing
