#include "quant/bnb4_matrix.h"

#include <vector>

namespace lorikeet {

namespace {

/// Elements that one work item quantizes: large enough to hide the hand-off, small enough to balance.
constexpr int64_t kItemElements = int64_t{1} << 18;
/// The same for the scales of double quantization: whole nested blocks.
constexpr int64_t kItemAbsmax = int64_t{64} * kNestedBlock;

size_t aligned(int64_t bytes) { return (static_cast<size_t>(bytes) + 63) / 64 * 64; }

/// Fills `memory` with the codes and scales that `encode(codes, absmax)` makes of a matrix.
template <class Encode>
Weight filled(int64_t rows, int64_t cols, const Bnb4Options& options, std::byte* memory, ThreadPool& threads,
              const Encode& encode) {
  const int64_t blocks = bnb4_blocks(rows * cols, options.blocksize);
  const Bnb4Layout l = bnb4_layout(rows * cols, options);
  Weight w = bnb4_weight(rows, cols, options, memory);
  std::vector<float> plain(options.double_quant ? static_cast<size_t>(blocks) : 0);
  encode(reinterpret_cast<uint8_t*>(memory),
         options.double_quant ? plain.data() : reinterpret_cast<float*>(memory + l.absmax_at));
  if (!options.double_quant) return w;
  const float offset = w.nested_offset = nested_offset_of(plain);
  auto* absmax_codes = reinterpret_cast<uint8_t*>(memory + l.absmax_codes_at);
  auto* nested_absmax = reinterpret_cast<float*>(memory + l.nested_absmax_at);
  threads.for_each((blocks + kItemAbsmax - 1) / kItemAbsmax, [&](int64_t item, int) {
    const int64_t first = item * kItemAbsmax, n = std::min(kItemAbsmax, blocks - first);
    encode_absmax(std::span(plain).subspan(static_cast<size_t>(first), static_cast<size_t>(n)), offset,
                  absmax_codes + first, nested_absmax + first / kNestedBlock);
  });
  return w;
}

}  // namespace

Bnb4Layout bnb4_layout(int64_t elements, const Bnb4Options& options) {
  Bnb4Layout l{};
  l.bytes = bnb4_bytes(elements, options);
  l.absmax_at = aligned(l.bytes.codes);
  l.absmax_codes_at = l.absmax_at + aligned(l.bytes.absmax);
  l.nested_absmax_at = l.absmax_codes_at + aligned(l.bytes.absmax_codes);
  l.total = l.nested_absmax_at + aligned(l.bytes.nested_absmax);
  return l;
}

Weight bnb4_weight(int64_t rows, int64_t cols, const Bnb4Options& options, std::byte* memory) {
  const Bnb4Layout l = bnb4_layout(rows * cols, options);
  const auto at = [&](size_t offset) { return memory ? memory + offset : nullptr; };
  Weight w;
  w.format = WeightFormat::bnb4;
  w.rows = rows;
  w.cols = cols;
  w.blocksize = options.blocksize;
  w.code = code_of(options.type).data();
  w.data = memory;
  if (options.double_quant) {
    w.absmax_codes = reinterpret_cast<const uint8_t*>(at(l.absmax_codes_at));
    w.nested_absmax = reinterpret_cast<const float*>(at(l.nested_absmax_at));
    w.nested_code = dynamic_map_signed().data();
    w.nested_blocksize = kNestedBlock;
  } else {
    w.absmax = reinterpret_cast<const float*>(at(l.absmax_at));
  }
  return w;
}

Weight quantize_bnb4(const Weight& source, const Bnb4Options& options, std::byte* memory,
                     std::string_view name, DType round_to, ThreadPool& threads) {
  const int64_t blocks = bnb4_blocks(source.rows * source.cols, options.blocksize);
  // Whole blocks: an even number of codes each.
  const int64_t step = std::max<int64_t>(1, kItemElements / options.blocksize);
  return filled(source.rows, source.cols, options, memory, threads, [&](uint8_t* codes, float* absmax) {
    threads.for_each((blocks + step - 1) / step, [&](int64_t item, int) {
      encode_bnb4(source, options, item * step, std::min(blocks, (item + 1) * step), codes, absmax, name,
                  round_to);
    });
  });
}

CalibratedWeight calibrated_bnb4(const Weight& source, const Bnb4Options& options,
                                 const ErrorFeedback& feedback, std::string_view name, DType round_to,
                                 ThreadPool& threads) {
  CalibratedWeight c;
  c.memory = Buffer(bnb4_layout(source.rows * source.cols, options).total, std::string(name).c_str());
  c.weight =
      filled(source.rows, source.cols, options, c.memory.data(), threads, [&](uint8_t* codes, float* absmax) {
        c.error =
            encode_bnb4_with_feedback(source, options, feedback, codes, absmax, name, round_to, threads);
      });
  return c;
}

}  // namespace lorikeet
