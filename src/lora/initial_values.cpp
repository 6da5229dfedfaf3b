#include "lora/initial_values.h"

#include <cmath>

#include "backend/ref/common.h"
#include "core/philox.h"
#include "lora/decompose.h"

namespace lorikeet {

namespace {

bool is_kind(const TrainableStore& store, const NamedTensor& t, ParameterKind kind) {
  return store.parameters()[t.parameter].kind == kind;
}

/// "model.layers.0.self_attn.q_proj" of "model.layers.0.self_attn.q_proj.lora_A.weight".
std::string module_of(const NamedTensor& t) { return t.name.substr(0, t.name.rfind(".lora_")); }

template <class Draw>
void fill(const TensorView& v, const Draw& draw) {
  for (int64_t i = 0; i < v.rows; ++i)
    for (int64_t k = 0; k < v.cols; ++k) ref::write(v, i, k, draw(static_cast<uint64_t>(i * v.cols + k)));
}

/// v or its transpose [n, r] = normal [n, r/2] times the rows first, first + 2, ... of q, over 10.
void fill_orthogonal(const TensorView& v, const Matrix& q, int64_t first, bool transposed,
                     const Philox& random) {
  const int64_t r = q.rows, n = transposed ? v.cols : v.rows;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < r; ++k) {
      double sum = 0;
      for (int64_t j = 0; j < r / 2; ++j)
        sum += random.normal(static_cast<uint64_t>(i * (r / 2) + j)) * q.at(first + 2 * j, k);
      ref::write(v, transposed ? k : i, transposed ? i : k, sum / 10);
    }
}

Matrix random_orthogonal(int64_t r, const Philox& random) {
  Matrix x(r, r);
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] = random.normal(i);
  return qr(std::move(x)).q;
}

void init_orthogonal(const TrainableStore& store, const NamedTensor& t, uint64_t seed) {
  const bool is_a = is_kind(store, t, ParameterKind::lora_a);
  const std::string module = module_of(t);
  const int64_t r = is_a ? t.rows : t.cols;
  LORIKEET_CHECK(r % 2 == 0);
  const Matrix q = random_orthogonal(r, Philox(seed, stable_hash(module)));
  fill_orthogonal(store.value_of(t), q, is_a ? 0 : 1, is_a, Philox(seed, stable_hash(t.name)));
}

}  // namespace

void init_lora(TrainableStore& store, uint64_t seed, LoraInit init) {
  for (const NamedTensor& t : store.tensors()) {
    if (is_kind(store, t, ParameterKind::embedding_b)) {
      const Philox random(seed, stable_hash(t.name));
      fill(store.value_of(t), [&](uint64_t n) { return random.normal(n); });
      continue;
    }
    const bool is_a = is_kind(store, t, ParameterKind::lora_a);
    if (!is_a && !is_kind(store, t, ParameterKind::lora_b)) continue;
    if (init == LoraInit::orthogonal) {
      init_orthogonal(store, t, seed);
      continue;
    }
    const Philox random(seed, stable_hash(t.name));
    const double bound = 1 / std::sqrt(static_cast<double>(t.cols)),
                 deviation = 1 / static_cast<double>(t.rows);
    fill(store.value_of(t), [&](uint64_t n) {
      if (!is_a) return 0.0;
      return init == LoraInit::gaussian ? deviation * random.normal(n)
                                        : bound * (2 * static_cast<double>(random.uniform(n)) - 1);
    });
  }
}

}  // namespace lorikeet
