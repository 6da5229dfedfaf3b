#include "optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "optim/gradient.h"
#include "optim/registry.h"
#include "unit/io/temp_folder.h"
#include "unit/quant/records.h"

namespace lorikeet {
namespace {

using testing::Records;

/// One tensor of a store, which lies in a wider matrix if `padded`.
class OneTensor {
 public:
  explicit OneTensor(Shape shape, DType compute = DType::f32, bool padded = false,
                     ParameterKind kind = ParameterKind::lora_b)
      : store(compute) {
    if (kind == ParameterKind::base) store.hold_base_in_compute_type();
    const size_t p = store.declare("p", kind, {shape.rows, shape.cols + (padded ? 5 : 0)}, 1);
    store.declare_tensor({"layers.0.weight", p, 0, shape.rows, 0, shape.cols, {shape.rows, shape.cols}});
    store.allocate(true, false);
  }
  TensorView value() const { return store.value_of(store.tensors()[0]); }
  TensorView grad() const { return store.grad_of(store.tensors()[0]); }
  /// As `numbers` of tools/make_optim_fixtures.py.
  void fill(const TensorView& v, uint64_t step) const {
    for (int64_t row = 0; row < v.rows; ++row)
      for (int64_t col = 0; col < v.cols; ++col) {
        const auto i = static_cast<uint64_t>(row * v.cols + col);
        auto x = static_cast<uint32_t>(i * 2654435761u + step * 2246822519u);
        x ^= x >> 15;
        x *= 2246822519u;
        x ^= x >> 13;
        float value = static_cast<float>(x >> 8) * 0x1p-24F - 0.5F;
        value = std::ldexp(value, static_cast<int>(-(row % 8)));
        if (step > 0 && (i % 7 == 3 || (i >= 512 && i < 1024))) value = 0;
        if (v.dtype == DType::f32)
          v.row<float>(row)[col] = value;
        else
          v.row<Bf16>(row)[col] = to_bf16(value);
      }
  }
  std::vector<float> values() const {
    std::vector<float> all;
    const TensorView v = value();
    for (int64_t row = 0; row < v.rows; ++row)
      for (int64_t col = 0; col < v.cols; ++col)
        all.push_back(v.dtype == DType::f32 ? v.row<float>(row)[col] : to_float(v.row<Bf16>(row)[col]));
    return all;
  }

  TrainableStore store;
};

constexpr int kSteps = 20;

/// The twenty steps of the fixture; after(step, optimizer) sees each.
template <class F>
void run_steps(OneTensor& t, OptimizerOptions options, int threads, const F& after) {
  ThreadPool pool(threads);
  Arena arena(size_t{1} << 20);
  const Stream stream{Device::cpu, &pool, &arena};
  options.weight_decay = 0.1;
  const auto optimizer = make_optimizer(t.store, options, false);
  t.fill(t.value(), 0);
  for (int step = 1; step <= kSteps; ++step) {
    t.fill(t.grad(), static_cast<uint64_t>(step));
    optimizer->step(stream, 0.01 * (kSteps + 1 - step) / kSteps, 1, step);
    after(step, *optimizer);
  }
}
std::vector<float> values_after(OneTensor& t, const OptimizerOptions& options, int threads = 2) {
  run_steps(t, options, threads, [](int, Optimizer&) {});
  return t.values();
}

OptimizerOptions options_of(Optim optim) {
  OptimizerOptions o;
  o.optim = optim;
  return o;
}

template <class T>
std::vector<T> state_of(const Optimizer& optimizer, const std::string& name) {
  for (const StateTensor& t : optimizer.state()) {
    if (t.name != name) continue;
    std::vector<T> v(t.bytes / sizeof(T));
    std::memcpy(v.data(), optimizer.data(t), t.bytes);
    return v;
  }
  ADD_FAILURE() << "no state is called " << name;
  return {};
}

uint64_t hash_of(const Optimizer& optimizer, const std::vector<std::string>& names) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const std::string& name : names)
    for (const uint8_t byte : state_of<uint8_t>(optimizer, name)) h = (h ^ byte) * 0x100000001b3u;
  return h;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want, double bound) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], bound) << "element " << i;
}

// Values are at most 0.5: each step rounds its update a few times, 3e-8 each, and torch multiplies by a
// reciprocal where this divides.
constexpr double kTwentySteps = 2e-6;

TEST(AdamWSteps, EqualPyTorchsWithClippingAndWeightDecay) {
  // torch 2.x: AdamW(lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1), clip_grad_norm_(1.0), gradient
  // of step t (3 t, -4, 0.5 / t).
  const double norms[] = {5.024937629699707, 7.215435028076172, 9.850268363952637};
  const float values[3][3] = {{0.4895000159740448F, -1.2387499809265137F, 1.9880000352859497F},
                              {0.47906532883644104F, -1.2277518510818481F, 1.9772207736968994F},
                              {0.46860450506210327F, -1.2170848846435547F, 1.967502474784851F}};
  OneTensor t({1, 3});
  ThreadPool threads(2);
  Arena arena(size_t{1} << 20);
  const Stream stream{Device::cpu, &threads, &arena};
  const auto optimizer = make_optimizer(t.store, {Optim::adamw, 0.9, 0.99, 1e-8, 0.1, 42, "", false}, false);
  const auto set = [](const TensorView& to, float a, float b, float c) {
    float* x = to.as<float>();
    x[0] = a, x[1] = b, x[2] = c;
  };
  set(t.value(), 0.5F, -1.25F, 2.0F);
  for (int step = 1; step <= 3; ++step) {
    set(t.grad(), 3.0F * static_cast<float>(step), -4.0F, 0.5F / static_cast<float>(step));
    const double norm = gradient_norm(t.store, stream);
    EXPECT_NEAR(norm, norms[step - 1], 1e-6);
    optimizer->step(stream, 0.01, clip_factor(norm, 1.0), step);
    for (size_t i = 0; i < 3; ++i)  // two f32 roundings a step
      EXPECT_NEAR(t.values()[i], values[step - 1][i], 4e-7) << "step " << step << ", element " << i;
  }
}

TEST(AdamW8bitSteps, HaveTheStateOfBitsandbytesByteForByte) {
  const Records records("steps.bin", "optim");
  for (const bool padded : {false, true}) {
    OneTensor t({17, 257}, DType::f32, padded);
    run_steps(t, options_of(Optim::adamw_8bit), 2, [&](int step, const Optimizer& o) {
      if (step == 1 || step == kSteps) {
        EXPECT_EQ(state_of<uint8_t>(o, "m.layers.0.weight"),
                  records.get<uint8_t>(fmt::format("large/m/{}", step)));
        EXPECT_EQ(state_of<uint8_t>(o, "v.layers.0.weight"),
                  records.get<uint8_t>(fmt::format("large/v/{}", step)));
        expect_near(t.values(), records.get<float>(fmt::format("large/p/{}", step)), kTwentySteps);
      }
      EXPECT_EQ(hash_of(o, {"m.layers.0.weight", "v.layers.0.weight", "m_absmax.layers.0.weight",
                            "v_absmax.layers.0.weight"}),
                records.get<uint64_t>(fmt::format("large/hash/{}", step))[0])
          << "step " << step;
    });
  }
}

TEST(AdamW8bitSteps, KeepSmallTensorsInFloat32AsBitsandbytesDoes) {
  const Records records("steps.bin", "optim");
  OneTensor t({31, 33});
  run_steps(t, options_of(Optim::adamw_8bit), 2, [&](int step, const Optimizer& o) {
    if (step != kSteps) return;
    expect_near(state_of<float>(o, "m.layers.0.weight"), records.get<float>("small/m/20"), kTwentySteps);
    expect_near(state_of<float>(o, "v.layers.0.weight"), records.get<float>("small/v/20"), kTwentySteps);
    expect_near(t.values(), records.get<float>("small/p/20"), kTwentySteps);
  });
}

TEST(SgdSteps, EqualPyTorchs) {
  const Records records("steps.bin", "optim");
  for (const auto& [name, shape] : {std::pair<const char*, Shape>{"large", {17, 257}}, {"small", {31, 33}}}) {
    OneTensor t(shape);
    expect_near(values_after(t, options_of(Optim::sgd)), records.get<float>(fmt::format("{}/sgd/20", name)),
                kTwentySteps);
  }
}

/// What must hold for every row of the registry.
class EveryOptimizer : public testing::TempFolder, public ::testing::WithParamInterface<Optim> {
 protected:
  OptimizerOptions options(bool release = false) const {
    OptimizerOptions o = options_of(GetParam());
    o.page_folder = folder_;
    o.release_pages = release;
    return o;
  }
};

TEST_P(EveryOptimizer, GivesTheSameBitsWhateverTheThreadsAndPieces) {
  OneTensor one({67, 521}), three({67, 521}), pieces({67, 521});
  const std::vector<float> want = values_after(one, options(), 1);
  EXPECT_EQ(values_after(three, options(), 3), want);
  EXPECT_EQ(values_after(pieces, options(true)), want);
}

TEST_P(EveryOptimizer, ChangesNoPadding) {
  OneTensor t({67, 521}, DType::f32, /*padded=*/true);
  values_after(t, options());
  const TensorView padding = t.store.parameters()[0].value.columns(521, 5);
  for (int64_t row = 0; row < padding.rows; ++row)
    for (int64_t col = 0; col < padding.cols; ++col) ASSERT_EQ(padding.row<float>(row)[col], 0.0F);
}

TEST_P(EveryOptimizer, CountsItsStateWithoutAllocatingIt) {
  OneTensor t({67, 521});
  const auto dry = make_optimizer(t.store, options(), true), real = make_optimizer(t.store, options(), false);
  EXPECT_EQ(dry->state_bytes(), real->state_bytes());
  size_t sum = 0;
  for (const StateTensor& s : real->state()) {
    sum += (s.bytes + 63) / 64 * 64;
    EXPECT_EQ(dry->data(s), nullptr);
  }
  EXPECT_EQ(real->state_bytes(), sum);
  EXPECT_LE(real->piece_bytes(), real->state_bytes());
}

TEST_P(EveryOptimizer, ChangesNothingAtARateOfZero) {
  OneTensor t({5, 1000});
  ThreadPool threads(2);
  Arena arena(size_t{1} << 20);
  t.fill(t.value(), 0);
  t.fill(t.grad(), 1);
  const std::vector<float> before = t.values();
  make_optimizer(t.store, options(), false)->step({Device::cpu, &threads, &arena}, 0, 1, 1);
  EXPECT_EQ(t.values(), before);
}

TEST_P(EveryOptimizer, RoundsBf16WeightsRandomlyButTheSameEachTime) {
  OneTensor one({67, 521}, DType::bf16, false, ParameterKind::base);
  OneTensor two({67, 521}, DType::bf16, false, ParameterKind::base);
  OneTensor other({67, 521}, DType::bf16, false, ParameterKind::base);
  const std::vector<float> want = values_after(one, options(), 1);
  EXPECT_EQ(values_after(two, options(true), 3), want);
  OptimizerOptions seeded = options();
  seeded.seed = 7;
  EXPECT_NE(values_after(other, seeded), want);
}

TEST_P(EveryOptimizer, KeepsTheMeanOfBf16Weights) {
  // An update of 1/32 of the distance between two bf16 numbers near 1: rounding to nearest would never move.
  OneTensor t({64, 1024}, DType::bf16, false, ParameterKind::base);
  ThreadPool threads(2);
  Arena arena(size_t{1} << 20);
  const TensorView p = t.value(), g = t.grad();
  std::fill_n(p.as<Bf16>(), p.count(), to_bf16(1.25F));
  std::fill_n(g.as<float>(), g.count(), 1.0F);
  const double rate = 0x1p-12;  // AdamW's first step is the rate itself, for a gradient of 1 SGD's too
  make_optimizer(t.store, options(), false)->step({Device::cpu, &threads, &arena}, rate, 1, 1);
  double sum = 0;
  for (const float x : t.values()) {
    EXPECT_TRUE(x == 1.25F || x == 1.2421875F) << x;
    sum += 1.25 - x;
  }
  // 65,536 draws of a share of 1/32: five standard deviations are 11 % of it.
  EXPECT_NEAR(sum / static_cast<double>(p.count()) / rate, 1, 0.11);
}

std::vector<Optim> all_optimizers() {
  std::vector<Optim> all;
  for (const OptimizerRow& row : optimizers()) all.push_back(row.optim);
  return all;
}
INSTANTIATE_TEST_SUITE_P(Registered, EveryOptimizer, ::testing::ValuesIn(all_optimizers()));

TEST(Paging, ChangesNoBit) {
  const std::string folder = ::testing::TempDir();
  for (const auto& [paged, plain] :
       {std::pair{Optim::paged_adamw_32bit, Optim::adamw}, {Optim::paged_adamw_8bit, Optim::adamw_8bit}}) {
    EXPECT_TRUE(is_paged(paged));
    EXPECT_EQ(unpaged(paged), plain);
    OptimizerOptions options = options_of(paged);
    options.page_folder = folder;
    options.release_pages = true;
    OneTensor a({67, 521}), b({67, 521});
    EXPECT_EQ(values_after(a, options), values_after(b, options_of(plain)));
  }
}

}  // namespace
}  // namespace lorikeet
