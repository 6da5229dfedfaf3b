#include "optim/gradient.h"

#include <cmath>

#include "backend/args.h"

namespace lorikeet {

double gradient_norm(const TrainableStore& store, const Stream& stream) {
  double sum = 0;
  for (const Parameter& p : store.parameters())
    if (p.grad) dispatch(stream, SquareSumArgs{TensorView(&sum, {1, 1}, DType::f64), p.grad});
  return std::sqrt(sum);
}

std::string first_non_finite_gradient(const TrainableStore& store) {
  for (const NamedTensor& t : store.tensors()) {
    const TensorView g = store.grad_of(t);
    for (int64_t r = 0; r < g.rows; ++r)
      for (int64_t c = 0; c < g.cols; ++c)
        if (!std::isfinite(g.row<float>(r)[c])) return t.name;
  }
  return {};
}

double clip_factor(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace lorikeet
