#include "quant/bnb4_matrix.h"

#include <vector>

namespace lorikeet {

namespace {

/// Elements that one work item quantizes: large enough to hide the hand-off, small enough to balance.
constexpr int64_t kItemElements = int64_t{1} << 18;
/// The same for the scales of double quantization: whole nested blocks.
constexpr int64_t kItemAbsmax = int64_t{64} * kNestedBlock;

size_t aligned(int64_t bytes) { return (static_cast<size_t>(bytes) + 63) / 64 * 64; }

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
  const int64_t elements = source.rows * source.cols, blocks = bnb4_blocks(elements, options.blocksize);
  const Bnb4Layout l = bnb4_layout(elements, options);
  Weight w = bnb4_weight(source.rows, source.cols, options, memory);
  std::vector<float> plain(options.double_quant ? static_cast<size_t>(blocks) : 0);
  float* absmax = options.double_quant ? plain.data() : reinterpret_cast<float*>(memory + l.absmax_at);
  auto* codes = reinterpret_cast<uint8_t*>(memory);
  // Whole blocks: an even number of codes each.
  const int64_t step = std::max<int64_t>(1, kItemElements / options.blocksize);
  threads.for_each((blocks + step - 1) / step, [&](int64_t item, int) {
    encode_bnb4(source, options, item * step, std::min(blocks, (item + 1) * step), codes, absmax, name,
                round_to);
  });
  if (options.double_quant) {
    const float offset = w.nested_offset = nested_offset_of(plain);
    auto* absmax_codes = reinterpret_cast<uint8_t*>(memory + l.absmax_codes_at);
    auto* nested_absmax = reinterpret_cast<float*>(memory + l.nested_absmax_at);
    threads.for_each((blocks + kItemAbsmax - 1) / kItemAbsmax, [&](int64_t item, int) {
      const int64_t first = item * kItemAbsmax, n = std::min(kItemAbsmax, blocks - first);
      encode_absmax(std::span(plain).subspan(static_cast<size_t>(first), static_cast<size_t>(n)), offset,
                    absmax_codes + first, nested_absmax + first / kNestedBlock);
    });
  }
  return w;
}

}  // namespace lorikeet
