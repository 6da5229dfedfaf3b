// Logits, hidden states, loss and gradients of tiny models of every family against what transformers, PEFT
// and bitsandbytes gave for them.
#include <cmath>

#include "data/dataset.h"
#include "data/loader.h"
#include "parity/recordings.h"
#include "train/loaded_model.h"
#include "train/memory_plan.h"

namespace lorikeet::testing {
namespace {

constexpr double kLogitsNmse = 1e-10;
constexpr double kGradientNmse = 1e-8;

LoadRequest load_request_of(const Recording& r) {
  LoadRequest q;
  const std::string method = r.entry["method"];
  q.method = method == "full" ? Method::full : method == "qlora" ? Method::qlora : Method::lora;
  const std::string held = r.entry.value("base_format", "auto");
  q.base_format = held == "keep"    ? BaseFormat::keep
                  : held == "dense" ? BaseFormat::dense
                                    : BaseFormat::automatic;
  q.compute_dtype = ComputeDtype::float32;
  q.threads = 2;
  q.positions = 32;  // of the smallest table of learned positions
  q.train = r.entry["gradients"].get<bool>();
  q.adapter = r.adapter();
  return q;
}

class ModelParity : public ::testing::TestWithParam<Recording> {
 protected:
  ModelParity()
      : recording_(GetParam()),
        expected_(SafetensorsFile::open(recording_.path(recording_.name() + ".safetensors"))),
        files_(ModelFiles::open(recording_.model())),
        loaded_(files_, load_request_of(recording_)) {
    DatasetOptions options;
    options.format = DataFormat::tokenized;
    options.rows.vocab_size = files_.spec().vocab_size;
    const Dataset rows =
        load_dataset({recording_.path("rows.jsonl")}, options, nullptr, nullptr, loaded_.threads());
    for (const Sample& s : rows.samples) {
      batch_.append(s);
      lengths_.push_back(static_cast<int32_t>(s.input_ids.size()));
    }
  }

  TensorView expected(const std::string& name) const {
    const SafetensorsTensor* t = expected_.find(name);
    if (!t) throw std::runtime_error("no recording of " + name);
    return float_view(*t, expected_.path());
  }

  /// The worst error goes into the test's record, from which tools/family_table makes docs/families.md.
  void TearDown() override { RecordProperty("worst_nmse", fmt::format("{:.1e}", worst_)); }

  void expect_close(const TensorView& found, const std::string& name, double bound) {
    const TensorView recorded = expected(name);
    ASSERT_EQ(found.rows, recorded.rows) << name;
    ASSERT_EQ(found.cols, recorded.cols) << name;
    Nmse nmse;
    for (int64_t r = 0; r < found.rows; ++r)
      for (int64_t c = 0; c < found.cols; ++c) nmse.add(found.row<float>(r)[c], recorded.row<float>(r)[c]);
    EXPECT_LE(nmse.value(), bound) << name;
    worst_ = std::max(worst_, nmse.value());
  }

  /// Room for whatever one of the passes needs.
  size_t arena_bytes() {
    const auto blocks = static_cast<int64_t>(loaded_.model().blocks.size());
    const uint64_t evaluated =
        evaluation_bytes(loaded_.model(), Device::cpu, loaded_.threads(), lengths_).total();
    if (!recording_.entry["gradients"].get<bool>()) return evaluated + kLogitsRoom;
    return std::max(evaluated,
                    step_bytes(loaded_.model(), Device::cpu, loaded_.threads(), lengths_, blocks).total()) +
           kLogitsRoom;
  }

  static constexpr size_t kLogitsRoom = size_t{1} << 20;
  Recording recording_;
  SafetensorsFile expected_;
  ModelFiles files_;
  LoadedModel loaded_;
  MicroBatchStorage batch_;
  std::vector<int32_t> lengths_;
  double worst_ = 0;
};

TEST_P(ModelParity, LogitsAndHiddenStatesMatchTransformers) {
  Arena arena(arena_bytes());
  Decoder decoder(loaded_.model(), loaded_.stream(&arena));
  const MicroBatch batch = batch_.view();
  const int64_t vocab = files_.spec().vocab_size;
  std::vector<float> values(static_cast<size_t>(batch.n() * vocab));
  const TensorView logits(values.data(), {batch.n(), vocab}, DType::f32);
  std::vector<int32_t> every;
  for (int32_t i = 0; i < batch.n(); ++i) every.push_back(i);
  const auto row_of = [&](const TensorView& all, size_t row) {
    return all.row_range(batch.rows[row].q_begin, batch.rows[row].q_count);
  };
  const auto blocks = static_cast<int64_t>(loaded_.model().blocks.size());
  std::function<void(int64_t, TensorView)> observe;
  if (recording_.entry["hidden_states"].get<bool>())
    observe = [&](int64_t layer, TensorView hidden) {
      if (layer == blocks) return;  // recorded after the last norm
      for (size_t row = 0; row < batch.rows.size(); ++row)
        expect_close(row_of(hidden, row), fmt::format("hidden.{}.{}", layer, row), kLogitsNmse);
    };
  decoder.logits(batch, {}, {}, every, logits, observe);
  for (size_t row = 0; row < batch.rows.size(); ++row)
    expect_close(row_of(logits, row), fmt::format("logits.{}", row), kLogitsNmse);
}

TEST_P(ModelParity, LossMatchesTransformers) {
  Arena arena(arena_bytes());
  Decoder decoder(loaded_.model(), loaded_.stream(&arena));
  double sum = 0;
  decoder.evaluate(batch_.view(), {TensorView(&sum, {1, 1}, DType::f64), nullptr, nullptr});
  const double loss = sum / static_cast<double>(batch_.view().target_at.size());
  const double recorded = expected("loss").row<float>(0)[0];
  EXPECT_NEAR(loss, recorded, 2e-6 * std::abs(recorded));  // a few roundings of f32
}

class GradientParity : public ModelParity {};

TEST_P(GradientParity, MatchesPyTorch) {
  Arena arena(arena_bytes());
  const Stream stream = loaded_.stream(&arena);
  loaded_.trainable().zero_grad(stream);
  Decoder decoder(loaded_.model(), stream);
  double sum = 0;
  const MicroBatch batch = batch_.view();
  decoder.forward_backward(batch, 1.0 / static_cast<double>(batch.target_at.size()),
                           static_cast<int64_t>(loaded_.model().blocks.size()), {},
                           {TensorView(&sum, {1, 1}, DType::f64), nullptr, nullptr});
  size_t recorded = 0;
  for (const SafetensorsTensor& t : expected_.tensors()) recorded += t.name.rfind("grad.", 0) == 0;
  EXPECT_EQ(loaded_.trainable().tensors().size(), recorded);
  const std::string prefix = recording_.adapter() ? "grad.base_model.model." : "grad.";
  for (const NamedTensor& t : loaded_.trainable().tensors()) {
    const TensorView gradient = loaded_.trainable().grad_of(t);
    if (t.transposed || (!recording_.adapter() && files_.at(t.name).expected.transposed)) {
      std::vector<float> columns(static_cast<size_t>(gradient.count()));
      const TensorView turned(columns.data(), {t.cols, t.rows}, DType::f32);
      for (int64_t i = 0; i < t.rows; ++i)
        for (int64_t k = 0; k < t.cols; ++k) turned.row<float>(k)[i] = gradient.row<float>(i)[k];
      expect_close(turned, prefix + t.name, kGradientNmse);
    } else {
      expect_close(gradient, prefix + t.name, kGradientNmse);
    }
  }
}

std::vector<Recording> with_gradients() {
  std::vector<Recording> all = recordings("dumps");
  std::erase_if(all, [](const Recording& r) { return !r.entry["gradients"].get<bool>(); });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Recorded, ModelParity, ::testing::ValuesIn(recordings("dumps")), test_name);
INSTANTIATE_TEST_SUITE_P(Recorded, GradientParity, ::testing::ValuesIn(with_gradients()), test_name);

}  // namespace
}  // namespace lorikeet::testing
