#pragma once
// f64 sums over a whole tensor: parts first, by whoever makes them, then the parts in a fixed order.
#include "backend/cuda/row_work.cuh"

namespace lorikeet::cuda {

/// *total += the parts.
struct AddTotal {
  double* total;
  Rows<double> parts;
  int64_t count;

  template <int n, class Threads>
  __device__ void run(Threads threads, int64_t) const {
    double sum = 0;
    threads.template columns<1>(count, [&](int64_t i) { sum += *parts.at(i); });
    sum = threads.sum(sum);
    if (threads.index() == 0) *total += sum;
  }
};

inline void add_total(const char* op, double* total, const Rows<double>& parts, int64_t count,
                      cudaStream_t queue) {
  for_each_row<1>(op, 1, count, false, AddTotal{total, parts, count}, queue);
}

}  // namespace lorikeet::cuda
