#pragma once
// cuDNN's backend API as far as attention needs it: operation graphs over four-dimensional tensors, the plan
// of an engine that takes a whole graph, and its run.
//
// Goals: descriptors that free themselves; errors that carry cuDNN's own message. Non-goals: a choice by
// timing (equal calls must give equal bits), shapes that change after planning.
#include <cudnn_graph.h>

#include <array>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace lorikeet::cuda {

/// A cuDNN backend descriptor.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  cudnnBackendDescriptor_t get() const { return handle_.get(); }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
           const void* values);
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    set(name, type, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& other) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.get());
  }
  void finalize();

 private:
  struct Destroy {
    void operator()(cudnnBackendDescriptor_t handle) const { cudnnBackendDestroyDescriptor(handle); }
  };
  std::unique_ptr<void, Destroy> handle_;
};

using Dims = std::array<int64_t, 4>;
/// A tensor of a graph; 0 is none.
using TensorId = int64_t;

struct Binding {
  TensorId tensor;
  const void* data;
};

class Plan;

/// A graph in the making. Every operation is f32 inside unless it says otherwise.
class Graph {
 public:
  /// A tensor in device memory. ragged: one whose batch b begins ragged[b] elements into the memory; the
  /// stride of the batches counts for nothing then.
  TensorId memory(const Dims& dims, const Dims& strides, cudnnDataType_t type, TensorId ragged = 0);
  /// A tensor between operations, in no memory.
  TensorId between(const Dims& dims, const Dims& strides, cudnnDataType_t type = CUDNN_DATA_FLOAT,
                   TensorId ragged = 0);
  /// A number, part of the graph.
  TensorId number(float value);
  TensorId number(int32_t value);

  /// out = f(x), f(x, b) or, for CUDNN_POINTWISE_BINARY_SELECT, t ? x : b. `axis` is for
  /// CUDNN_POINTWISE_GEN_INDEX.
  void pointwise(cudnnPointwiseMode_t mode, TensorId out, TensorId x, TensorId b = 0, TensorId t = 0,
                 cudnnDataType_t compute = CUDNN_DATA_FLOAT, int64_t axis = -1);
  /// out = a b, with the numbers of rows, columns and terms per batch in m, n, k if given. `pad`: what lies
  /// beyond them counts as 0.
  void matmul(TensorId out, TensorId a, TensorId b, TensorId m, TensorId n, TensorId k, bool pad = false);
  void reduce(cudnnReduceTensorOp_t mode, TensorId out, TensorId x);
  void reshape(TensorId out, TensorId x);

 private:
  friend class Plan;
  TensorId add(const Dims& dims, const Dims& strides, cudnnDataType_t type, bool is_virtual, bool by_value,
               TensorId ragged);
  const Descriptor& at(TensorId id) const { return tensors_[static_cast<size_t>(id - 1)]; }

  std::vector<Descriptor> tensors_, operations_;
  std::deque<float> numbers_;  // their addresses are bound, and those of integers_
  std::deque<int32_t> integers_;
  std::vector<Binding> constants_;
};

/// The first engine of cuDNN's heuristics that takes the whole graph.
class Plan {
 public:
  /// For the GPU of `handle`. Throws Error(unsupported) with cuDNN's reasons if no engine takes the graph.
  Plan(Graph graph, cudnnHandle_t handle);

  size_t workspace_bytes() const { return workspace_; }

  /// Starts the plan on the handle's stream. `bindings` gives every tensor in memory; those of tensor 0 are
  /// passed over.
  void run(cudnnHandle_t handle, std::span<const Binding> bindings, void* workspace) const;

 private:
  Graph graph_;  // holds the numbers
  Descriptor operations_, plan_;
  size_t workspace_ = 0;
};

}  // namespace lorikeet::cuda
