#include "backend/cuda/graph.h"

#include <string>

#include "backend/cuda/status.h"
#include "core/error.h"

namespace lorikeet::cuda {

namespace {

constexpr Dims kOne = {1, 1, 1, 1};

std::vector<cudnnBackendDescriptor_t> handles(const std::vector<Descriptor>& of) {
  std::vector<cudnnBackendDescriptor_t> all;
  for (const Descriptor& d : of) all.push_back(d.get());
  return all;
}

std::string last_message() {
  char text[8192] = "";
  cudnnGetLastErrorString(text, sizeof text);
  return text;
}

/// The engines that cuDNN proposes for a graph, best first.
std::vector<Descriptor> configs_of(const Descriptor& operations, cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, operations);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
  std::vector<Descriptor> configs;
  // A mode without any engine for the graph may fail here already.
  if (cudnnBackendFinalize(heuristics.get()) != CUDNN_STATUS_SUCCESS) return configs;
  int64_t count = 0;
  const auto results = [&](int64_t wanted, void* out) {
    check(cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                   CUDNN_TYPE_BACKEND_DESCRIPTOR, wanted, &count, out),
          "cudnnBackendGetAttribute");
  };
  results(0, nullptr);
  for (int64_t i = 0; i < count; ++i) configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  std::vector<cudnnBackendDescriptor_t> out = handles(configs);
  results(count, out.data());
  configs.erase(configs.begin() + count, configs.end());
  return configs;
}

/// The plan of the first proposed engine that takes the graph.
Descriptor plan_of(const Descriptor& operations, cudnnHandle_t handle) {
  std::string reasons;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
    for (const Descriptor& config : configs_of(operations, mode)) {
      Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
      if (cudnnBackendFinalize(plan.get()) == CUDNN_STATUS_SUCCESS) return plan;
      reasons += last_message();
    }
  throw Error(ErrorKind::unsupported, "no engine of cuDNN takes the operations: " + reasons + last_message());
}

}  // namespace

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t handle = nullptr;
  check(cudnnBackendCreateDescriptor(type, &handle), "cudnnBackendCreateDescriptor");
  handle_.reset(handle);
}

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                     const void* values) {
  check(cudnnBackendSetAttribute(get(), name, type, count, values), "cudnnBackendSetAttribute");
}

void Descriptor::finalize() { check(cudnnBackendFinalize(get()), "cudnnBackendFinalize"); }

TensorId Graph::add(const Dims& dims, const Dims& strides, cudnnDataType_t type, bool is_virtual,
                    bool by_value, TensorId ragged) {
  const auto id = static_cast<TensorId>(tensors_.size() + 1);
  Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
  d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims.data());
  d.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides.data());
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, id);
  // Columns are read number by number, rows 16 bytes at a time.
  const int64_t alignment = dims[3] > 1 ? 16 : type == CUDNN_DATA_INT64 ? 8 : 4;
  d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, alignment);
  d.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, is_virtual);
  d.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, by_value);
  if (ragged) d.set(CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC, at(ragged));
  d.finalize();
  tensors_.push_back(std::move(d));
  return id;
}

TensorId Graph::memory(const Dims& dims, const Dims& strides, cudnnDataType_t type, TensorId ragged) {
  return add(dims, strides, type, false, false, ragged);
}

TensorId Graph::between(const Dims& dims, const Dims& strides, cudnnDataType_t type, TensorId ragged) {
  return add(dims, strides, type, true, false, ragged);
}

TensorId Graph::number(float value) {
  const TensorId id = add(kOne, kOne, CUDNN_DATA_FLOAT, false, true, 0);
  constants_.push_back({id, &numbers_.emplace_back(value)});
  return id;
}

TensorId Graph::number(int32_t value) {
  const TensorId id = add(kOne, kOne, CUDNN_DATA_INT32, false, true, 0);
  constants_.push_back({id, &integers_.emplace_back(value)});
  return id;
}

void Graph::pointwise(cudnnPointwiseMode_t mode, TensorId out, TensorId x, TensorId b, TensorId t,
                      cudnnDataType_t compute, int64_t axis) {
  Descriptor how(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  how.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode);
  how.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, compute);
  if (axis >= 0) how.set(CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, axis);
  how.finalize();
  Descriptor d(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, at(x));
  if (b) d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, at(b));
  if (t) d.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, at(t));
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, at(out));
  d.finalize();
  operations_.push_back(std::move(d));
}

void Graph::matmul(TensorId out, TensorId a, TensorId b, TensorId m, TensorId n, TensorId k, bool pad) {
  Descriptor how(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  how.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  if (pad) how.set(CUDNN_ATTR_MATMUL_PADDING_VALUE, CUDNN_TYPE_DOUBLE, 0.0);
  how.finalize();
  Descriptor d(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, at(a));
  d.set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, at(b));
  d.set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, at(out));
  d.set(CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
  if (m) d.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, at(m));
  if (n) d.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, at(n));
  if (k) d.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, at(k));
  d.finalize();
  operations_.push_back(std::move(d));
}

void Graph::reduce(cudnnReduceTensorOp_t mode, TensorId out, TensorId x) {
  Descriptor how(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  how.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, mode);
  how.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  how.finalize();
  Descriptor d(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, at(x));
  d.set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, at(out));
  d.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
  d.finalize();
  operations_.push_back(std::move(d));
}

void Graph::reshape(TensorId out, TensorId x) {
  Descriptor d(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, at(x));
  d.set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, at(out));
  d.finalize();
  operations_.push_back(std::move(d));
}

Plan::Plan(Graph graph, cudnnHandle_t handle)
    : graph_(std::move(graph)),
      operations_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR),
      plan_(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
  const auto operations = handles(graph_.operations_);
  operations_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                  static_cast<int64_t>(operations.size()), operations.data());
  operations_.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle);
  operations_.finalize();
  plan_ = plan_of(operations_, handle);
  int64_t bytes = 0, count = 0;
  check(cudnnBackendGetAttribute(plan_.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                 &count, &bytes),
        "cudnnBackendGetAttribute");
  workspace_ = static_cast<size_t>(bytes);
}

void Plan::run(cudnnHandle_t handle, std::span<const Binding> bindings, void* workspace) const {
  std::vector<int64_t> ids;
  std::vector<const void*> pointers;
  const auto bind = [&](const Binding& b) {
    if (!b.tensor) return;
    ids.push_back(b.tensor);
    pointers.push_back(b.data);
  };
  for (const Binding& b : bindings) bind(b);
  for (const Binding& b : graph_.constants_) bind(b);
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  const auto count = static_cast<int64_t>(ids.size());
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
  pack.finalize();
  check(cudnnBackendExecute(handle, plan_.get(), pack.get()), "cudnnBackendExecute");
}

}  // namespace lorikeet::cuda
