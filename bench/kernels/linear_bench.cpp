// Products with frozen weights in both directions, the rank-r products, and a whole LoRA layer forward and
// backward. Weights are cold: several copies, 64 MiB together, take turns.
#include "backend/args.h"
#include "kernels/harness.h"
#include "quant/bnb_tables.h"
#include "quant/format.h"

namespace lorikeet::bench {
namespace {

struct StoredWeight {
  Weight w;
  std::vector<Buffer> parts;
};

void fill_random_bytes(const Buffer& b, size_t n) {
  auto* p = static_cast<uint8_t*>(b.data());
  for (size_t i = 0; i < n; ++i) p[i] = static_cast<uint8_t>(next_random());
}

StoredWeight make_weight(WeightFormat format, int64_t out, int64_t in) {
  StoredWeight s;
  s.w.format = format;
  s.w.rows = out;
  s.w.cols = in;
  if (format == WeightFormat::dense) {
    s.parts.emplace_back(out, in, DType::bf16, 0.05f);
    s.w.dtype = DType::bf16;
  } else if (format == WeightFormat::bnb4) {  // NF4 with double quantization
    const auto codes = static_cast<size_t>(out * in / 2), blocks = codes / 32;
    s.parts.emplace_back(codes);
    fill_random_bytes(s.parts[0], codes);
    s.parts.emplace_back(blocks);
    fill_random_bytes(s.parts[1], blocks);
    s.parts.emplace_back(int64_t{1}, static_cast<int64_t>(blocks / 256 + 1), DType::f32, 0.02f);
    s.w.blocksize = 64;
    s.w.code = kNf4Code.data();
    s.w.absmax_codes = static_cast<const uint8_t*>(s.parts[1].data());
    s.w.nested_absmax = static_cast<const float*>(s.parts[2].data());
    s.w.nested_code = dynamic_map_signed().data();
    s.w.nested_offset = 0.05f;
  } else if (s.w.by_columns()) {  // 4 bits, groups of 128
    const auto codes = static_cast<size_t>(out * in / 2), groups = static_cast<size_t>(in / 128);
    s.parts.emplace_back(codes);
    fill_random_bytes(s.parts[0], codes);
    s.parts.emplace_back(groups * static_cast<size_t>(out) / 2);
    fill_random_bytes(s.parts[1], groups * static_cast<size_t>(out) / 2);
    s.parts.emplace_back(static_cast<int64_t>(groups), out, DType::f16, 0.02f);
    s.w.grouped.bits = 4;
    s.w.grouped.group_size = 128;
    s.w.grouped.zeros = static_cast<const uint32_t*>(s.parts[1].data());
    s.w.grouped.scales = s.parts[2].data();
  } else {
    const auto bytes = static_cast<size_t>(weight_bytes(format, DType::f32, out, in));
    s.parts.emplace_back(bytes);
    fill_random_bytes(s.parts[0], bytes);
    for (size_t i = 1; i < bytes; i += 2)  // no 16-bit pattern of a scale is infinite or NaN
      static_cast<uint8_t*>(s.parts[0].data())[i] &= 0x3f;
  }
  s.w.data = s.parts[0].data();
  return s;
}

int64_t copies_for_cold(int64_t bytes) {
  return std::max<int64_t>(1, (int64_t{64} << 20) / std::max<int64_t>(bytes, 1));
}

struct NamedFormat {
  const char* name;
  WeightFormat format;
};
constexpr NamedFormat kFormats[] = {
    {"nf4", WeightFormat::bnb4},  {"bf16", WeightFormat::dense}, {"q8_0", WeightFormat::q8_0},
    {"q4_0", WeightFormat::q4_0}, {"q4_1", WeightFormat::q4_1},  {"q5_0", WeightFormat::q5_0},
    {"q5_1", WeightFormat::q5_1}, {"q4_k", WeightFormat::q4_k},  {"q5_k", WeightFormat::q5_k},
    {"q6_k", WeightFormat::q6_k}, {"gptq", WeightFormat::gptq},  {"awq", WeightFormat::awq}};

void base(benchmark::State& state, WeightFormat format, DType compute, int64_t out, int64_t in,
          int64_t tokens, bool backward) {
  std::vector<StoredWeight> w;
  std::vector<std::function<void()>> calls;
  const Buffer x(tokens, in, compute), y(tokens, out, compute);
  for (int64_t n = std::min<int64_t>(copies_for_cold(out * in / 2), 32); n > 0; --n)
    w.push_back(make_weight(format, out, in));
  for (const StoredWeight& s : w)
    calls.push_back(backward ? kernel_call(LinearDxArgs{x, false, 1, {y}, {&s.w}, {}, {}})
                             : kernel_call(LinearArgs{y, x, &s.w, {}, {}, {}, {}}));
  size_t turn = 0;
  measure(state, compute, 2.0 * static_cast<double>(tokens * out * in),
          [&] { calls[turn++ % calls.size()](); });
}

/// One layer with an adapter: low = x A^T, y, dlow, dA, dB, dx.
void layer(benchmark::State& state, WeightFormat format, int64_t out, int64_t in, int64_t tokens,
           int64_t rank) {
  constexpr DType kType = DType::bf16;
  struct Copy {
    StoredWeight w;
    Buffer x, dy;
  };
  std::vector<Copy> copies;
  for (int i = 0; i < 4; ++i)
    copies.push_back({make_weight(format, out, in), Buffer(tokens, in, kType), Buffer(tokens, out, kType)});
  const Buffer y(tokens, out, kType), dx(tokens, in, kType), low(tokens, rank, kType),
      dlow(tokens, rank, kType);
  const Buffer a(rank, in, kType, 0.05f), b(out, rank, kType, 0.05f), da(rank, in, DType::f32),
      db(out, rank, DType::f32);
  const Weight wa = Weight::dense(a), wb = Weight::dense(b);
  std::vector<std::function<void()>> calls;
  for (const Copy& c : copies) {
    const auto h = kernel_call(LinearArgs{low, c.x, &wa, {}, {}, {}, {}});
    const auto fwd = kernel_call(LinearArgs{y, c.x, &c.w.w, {}, {}, low, b});
    const auto dh = kernel_call(LinearDxArgs{dlow, false, 1, {c.dy}, {&wb}, {}, {}});
    const auto bwd = kernel_call(LinearDxArgs{dx, false, 1, {c.dy}, {&c.w.w}, dlow, a});
    const auto sum_a = kernel_call(TokenSumArgs{da, dlow, c.x, 1});
    const auto sum_b = kernel_call(TokenSumArgs{db, c.dy, low, 1});
    calls.push_back([=] { h(), fwd(), dh(), bwd(), sum_a(), sum_b(); });
  }
  size_t turn = 0;
  const auto flops = static_cast<double>(tokens) *
                     (4.0 * static_cast<double>(out * in) + 6.0 * static_cast<double>(rank * (out + in)));
  measure(state, kType, flops, [&] { calls[turn++ % calls.size()](); });
}

/// The rank-r products alone: low = x A^T and dA = dlow^T x.
void rank_product(benchmark::State& state, int64_t in, int64_t tokens, int64_t rank, bool gradient) {
  constexpr DType kType = DType::bf16;
  const Buffer x(tokens, in, kType), low(tokens, rank, kType), a(rank, in, kType), da(rank, in, DType::f32);
  const Weight wa = Weight::dense(a);
  const auto call = gradient ? kernel_call(TokenSumArgs{da, low, x, 1})
                             : kernel_call(LinearArgs{low, x, &wa, {}, {}, {}, {}});
  measure(state, kType, 2.0 * static_cast<double>(tokens * in * rank), call);
}

struct Size {
  int64_t out, in;
};
constexpr Size kSizes[] = {{576, 576},   {1536, 576},  {576, 1536}, {2048, 2048},
                           {5632, 2048}, {4096, 4096}, {49152, 576}};

template <class F, class... A>
void add(const std::string& name, F* f, A... args) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& s) { f(s, args...); })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

const bool registered = [] {
  for (const NamedFormat& f : kFormats)
    for (const Size& s : kSizes)
      for (const int64_t tokens : {1, 128, 512, 2048})
        for (const bool backward : {false, true}) {
          const bool main_format = f.format == WeightFormat::bnb4 || f.format == WeightFormat::dense;
          if (tokens == 1 && backward) continue;
          if (!main_format && (s.in != 2048 || s.out != 2048)) continue;
          add(fmt::format("{}/{}/{}x{}/M{}", backward ? "dX" : "Y", f.name, s.out, s.in, tokens), base,
              f.format, DType::bf16, s.out, s.in, tokens, backward);
          if (f.format == WeightFormat::bnb4 && tokens >= 512 && s.out <= 2048)
            add(fmt::format("{}_f32/{}/{}x{}/M{}", backward ? "dX" : "Y", f.name, s.out, s.in, tokens), base,
                f.format, DType::f32, s.out, s.in, tokens, backward);
        }
  for (const Size& s : kSizes)
    for (const int64_t rank : {16, 64})
      if (s.out < 10000)
        add(fmt::format("layer/nf4/{}x{}/M2048/r{}", s.out, s.in, rank), layer, WeightFormat::bnb4, s.out,
            s.in, int64_t{2048}, rank);
  for (const int64_t in : {576, 2048})
    for (const int64_t rank : {16, 48, 64})
      for (const bool gradient : {false, true})
        add(fmt::format("{}/{}/M2048/r{}", gradient ? "dA" : "low", in, rank), rank_product, in,
            int64_t{2048}, rank, gradient);
  return true;
}();

}  // namespace
}  // namespace lorikeet::bench
