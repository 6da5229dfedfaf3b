// bnb4 to bf16 or f32. The layout is Weight's; the CPU's definition is quant/bnb4.cpp.
#include "backend/cuda/dequantize_kernel.h"
#include "backend/cuda/elements.cuh"

namespace lorikeet::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kGroup = kBnb4Group;
/// Steps per thread, all read before the first is written, so that enough reads are under way at a time.
constexpr int kSteps = 4;

/// The 16 values in shared memory: each in a bank of its own, so that a warp's look-ups never wait for each
/// other. With double quantization also its map.
struct Tables {
  float code[16], nested_code[256];
};

template <bool kNested>
__device__ void load_tables(const Bnb4Source& s, Tables& t) {
  if (threadIdx.x < 16) t.code[threadIdx.x] = s.code[threadIdx.x];
  if (kNested)
    for (uint32_t i = threadIdx.x; i < 256; i += blockDim.x) t.nested_code[i] = s.nested_code[i];
  __syncthreads();
}

/// What is stored of a block's scale: with double quantization the code and the scale of its outer block.
struct StoredScale {
  float value;
  uint32_t code;
};
template <bool kNested>
__device__ StoredScale stored_scale(const Bnb4Source& s, uint64_t block) {
  if (!kNested) return {__ldg(s.absmax + block), 0};
  return {__ldg(s.nested_absmax + static_cast<uint32_t>(block) / s.nested_blocksize),
          __ldg(s.absmax_codes + block)};
}
/// The scale of a block; both roundings as on the CPU.
template <bool kNested>
__device__ float scale_of(const Bnb4Source& s, const Tables& t, StoredScale stored) {
  if (!kNested) return stored.value;
  return __fadd_rn(__fmul_rn(t.nested_code[stored.code], stored.value), s.nested_offset);
}

/// Element `i` of a word of codes: bytes in order, the high half of a byte first.
__device__ float element(const Tables& t, uint32_t word, int i) {
  return t.code[word >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15];
}

/// Groups [0, groups) after group `first` of the flat matrix, a row being row_groups of them.
template <class T, bool kNested, bool kStrided>
__global__ void __launch_bounds__(kThreads) dequantize_groups(Bnb4Source s, uint64_t first, uint32_t groups,
                                                              uint32_t row_groups, T* out, int64_t stride) {
  __shared__ Tables tables;
  const uint32_t begin = blockIdx.x * (kThreads * kSteps) + threadIdx.x;
  uint32_t words[kSteps];
  StoredScale scales[kSteps];
#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    const uint32_t g = begin + i * kThreads;
    if (g >= groups) break;
    words[i] = __ldcs(reinterpret_cast<const uint32_t*>(s.codes) + first + g);
    scales[i] = stored_scale<kNested>(s, (first + g) * kGroup >> s.block_shift);
  }
  load_tables<kNested>(s, tables);  // while the reads are under way
#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    const uint32_t g = begin + i * kThreads;
    if (g >= groups) break;
    const float scale = scale_of<kNested>(s, tables, scales[i]);
    const uint32_t row = kStrided ? g / row_groups : 0;
    store(each<kGroup>([&](int e) { return __fmul_rn(element(tables, words[i], e), scale); }),
          out + row * stride + static_cast<int64_t>(g - row * row_groups) * kGroup);
  }
}

/// Any shape: one element per thread, `count` of them after element `first` of the flat matrix.
template <class T, bool kNested>
__global__ void __launch_bounds__(kThreads)
    dequantize_elements(Bnb4Source s, uint64_t first, uint64_t count, uint64_t cols, T* out, int64_t stride) {
  __shared__ Tables tables;
  load_tables<kNested>(s, tables);
  const uint64_t i = static_cast<uint64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const uint64_t f = first + i;
  const uint32_t byte = s.codes[f / 2];
  const float value = tables.code[f % 2 ? byte & 15 : byte >> 4];
  from_f32(__fmul_rn(value, scale_of<kNested>(s, tables, stored_scale<kNested>(s, f >> s.block_shift))),
           out[static_cast<int64_t>(i / cols) * stride + i % cols]);
}

uint32_t blocks_for(uint64_t work, uint64_t per_block) {
  return static_cast<uint32_t>((work + per_block - 1) / per_block);
}

bool on_bytes(const void* p, uintptr_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

template <class T, bool kNested>
cudaError_t launch(const Bnb4Source& s, const Bnb4Range& r, void* out, cudaStream_t queue) {
  auto* to = static_cast<T*>(out);
  const bool contiguous = r.stride == static_cast<int64_t>(r.cols);
  const bool groups_fit = contiguous ? r.first % kGroup == 0 && r.count % kGroup == 0
                                     : r.cols % kGroup == 0 && r.stride % kGroup == 0;
  if (groups_fit && on_bytes(out, 16) && on_bytes(s.codes, 4)) {
    const auto groups = static_cast<uint32_t>(r.count / kGroup),
               row_groups = static_cast<uint32_t>(r.cols / kGroup);
    const uint32_t blocks = blocks_for(groups, kThreads * kSteps);
    if (contiguous)
      dequantize_groups<T, kNested, false>
          <<<blocks, kThreads, 0, queue>>>(s, r.first / kGroup, groups, 0, to, 0);
    else
      dequantize_groups<T, kNested, true>
          <<<blocks, kThreads, 0, queue>>>(s, r.first / kGroup, groups, row_groups, to, r.stride);
  } else {
    dequantize_elements<T, kNested>
        <<<blocks_for(r.count, kThreads), kThreads, 0, queue>>>(s, r.first, r.count, r.cols, to, r.stride);
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t start_dequantize_bnb4(const Bnb4Source& s, const Bnb4Range& r, void* out, bool to_f32,
                                  cudaStream_t queue) {
  if (s.absmax)
    return to_f32 ? launch<float, false>(s, r, out, queue) : launch<Bf16, false>(s, r, out, queue);
  return to_f32 ? launch<float, true>(s, r, out, queue) : launch<Bf16, true>(s, r, out, queue);
}

}  // namespace lorikeet::cuda
