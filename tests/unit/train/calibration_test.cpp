#include "train/calibration.h"

#include <gmock/gmock.h>

#include <cmath>

#include "data/loader.h"
#include "export/logit_check.h"
#include "export/quantize.h"
#include "model/decoder.h"
#include "model/loader.h"
#include "unit/io/temp_folder.h"
#include "unit/model/model_on_disk.h"

namespace lorikeet::testing {
namespace {

class CalibrationTest : public TempFolder {
 protected:
  void SetUp() override {
    model_.config = blocked_config();  // widths 64 and 96
    write_hf_folder(path("m"), model_);
    files_.emplace(ModelFiles::open(path("m")));
    for (int64_t row = 0; row < 40; ++row) {
      Sample& s = samples_.emplace_back();
      for (int64_t t = 0; t < 5 + row % 7; ++t)
        s.input_ids.push_back(static_cast<int32_t>((row * 13 + t * t * 5) % 43));
      s.labels.assign(s.input_ids.size(), kNoTarget);
      s.row_id = row;
    }
  }
  CalibratedWeights calibrated(int32_t blocksize = 32, int threads = 2) {
    ThreadPool pool(threads);
    return calibrate(*files_, samples_, {{Bnb4Type::nf4, blocksize, true}, DType::f32, {}}, pool);
  }
  std::vector<float> file_values(const std::string& name) {
    std::vector<int32_t> map;
    return elements(stored_weight(files_->at(name), files_->spec(), map));
  }
  OnDisk model_;
  std::optional<ModelFiles> files_;
  std::vector<Sample> samples_;
  ThreadPool threads_{2};
};

TEST_F(CalibrationTest, EveryLinearLayerWhoseRowsAreWholeBlocksIsThere) {
  const CalibratedWeights all = calibrated(32), some = calibrated(64);
  EXPECT_EQ(all.size(), 14U);
  EXPECT_EQ(some.size(), 12U);
  EXPECT_FALSE(some.contains("model.layers.1.mlp.down_proj.weight"));  // rows of 96
  expect_error([&] { calibrated(4096); }, ErrorKind::usage,
               {"no linear layer has rows of whole blocks of 4096"});
}

TEST_F(CalibrationTest, ThreadsChangeNoBit) {
  const CalibratedWeights a = calibrated(32, 1), b = calibrated(32, 3);
  for (const auto& [name, c] : a) EXPECT_EQ(elements(c.weight), elements(b.at(name).weight)) << name;
}

/// A model as it would train, from a folder.
struct Loaded {
  ModelFiles files;
  WeightStore store;
  TrainableStore nothing{DType::f32};
  Model model;
  Loaded(const std::string& folder, BaseFormat format, const Bnb4Options& bnb)
      : files(ModelFiles::open(folder)), store(files, {format, bnb, DType::f32, nullptr, false, {}}) {
    ModelOptions options;
    options.positions = 16;
    model = build_model(files.spec(), store, options, nothing, false, false);
  }
};

/// The input of a block [N,C] of all samples.
std::vector<float> inputs_of(const Model& model, size_t layer, const std::vector<Sample>& samples,
                             ThreadPool& threads) {
  MicroBatchStorage storage;
  for (const Sample& s : samples) storage.append(s);
  const MicroBatch batch = storage.view();
  const std::vector<int32_t> last = {static_cast<int32_t>(batch.n() - 1)};
  std::vector<float> inputs, logits(static_cast<size_t>(model.spec.vocab_size));
  const auto run = [&](Arena& arena) {
    Decoder(model, {Device::cpu, &threads, &arena})
        .logits(batch, {}, {}, last, TensorView(logits.data(), {1, model.spec.vocab_size}, DType::f32),
                [&](int64_t i, TensorView x) {
                  if (!arena.is_dry() && i == static_cast<int64_t>(layer))
                    inputs.assign(x.as<float>(), x.as<float>() + x.count());
                });
  };
  Arena plan = Arena::dry();
  run(plan);
  Arena arena(plan.high_water());
  run(arena);
  return inputs;
}

/// What rounding `name` costs when it reads x [N,C], normed by `norm`.
OutputError error_by_hand(const ModelFiles& files, const std::string& name, const std::vector<float>& norm,
                          const std::vector<float>& x, ThreadPool& threads) {
  const auto c = static_cast<int64_t>(norm.size());
  std::vector<float> gram(static_cast<size_t>(c * c));
  for (size_t at = 0; at < x.size(); at += norm.size()) {
    double square = 0;
    for (size_t k = 0; k < norm.size(); ++k) square += std::pow(static_cast<double>(x[at + k]), 2);
    const double scale = 1 / std::sqrt(square / static_cast<double>(c) + 1e-5);
    std::vector<float> h;
    for (size_t k = 0; k < norm.size(); ++k)
      h.push_back(static_cast<float>(static_cast<double>(x[at + k]) * scale) * norm[k]);
    for (size_t i = 0; i < h.size(); ++i)
      for (size_t j = 0; j < h.size(); ++j) gram[i * h.size() + j] += h[i] * h[j];
  }
  const ErrorFeedback feedback(TensorView(gram.data(), {c, c}, DType::f32), threads);
  std::vector<int32_t> map;
  const Weight source = stored_weight(files.at(name), files.spec(), map);
  return calibrated_bnb4(source, {Bnb4Type::nf4, 32, true}, feedback, name, DType::f32, threads).error;
}

TEST_F(CalibrationTest, TheFirstLayerIsRoundedByItsNormedEmbeddings) {
  const std::vector<float> table = file_values("model.embed_tokens.weight");
  std::vector<float> x;
  for (const Sample& s : samples_)
    for (const int32_t id : s.input_ids)
      x.insert(x.end(), table.begin() + id * 64, table.begin() + (id + 1) * 64);
  const std::string name = "model.layers.0.self_attn.k_proj.weight";
  const OutputError by_hand =
      error_by_hand(*files_, name, file_values("model.layers.0.input_layernorm.weight"), x, threads_);
  const OutputError found = calibrated().at(name).error;
  // Another order of summing moves G by 1e-6 of itself.
  EXPECT_NEAR(found.square_plain / by_hand.square_plain, 1, 1e-4);
  EXPECT_NEAR(found.square / by_hand.square, 1, 0.02);  // a code at a mid-point may fall the other way
  EXPECT_LT(found.square, found.square_plain);
}

TEST_F(CalibrationTest, LaterLayersAreRoundedByWhatTheQuantizedOnesBeforeThemGive) {
  const Bnb4Options bnb{Bnb4Type::nf4, 32, true};
  const CalibratedWeights all = calibrated();
  quantize_model(*files_, bnb, path("q"), AtomicFolder::IfExists::refuse, threads_, all);
  const std::string name = "model.layers.1.self_attn.v_proj.weight";
  const std::vector<float> norm = file_values("model.layers.1.input_layernorm.weight");
  const auto square_behind = [&](const std::string& folder, BaseFormat format) {
    const Loaded before(path(folder), format, bnb);
    return error_by_hand(*files_, name, norm, inputs_of(before.model, 1, samples_, threads_), threads_)
        .square_plain;
  };
  const double found = all.at(name).error.square_plain;
  EXPECT_NEAR(found / square_behind("q", BaseFormat::keep), 1, 1e-4);  // as above
  EXPECT_GT(std::abs(found / square_behind("m", BaseFormat::dense) - 1), 1e-3);
}

TEST_F(CalibrationTest, WrittenWeightsAreTheCalibratedOnesAndKeepTheOutputsCloser) {
  const Bnb4Options bnb{Bnb4Type::nf4, 32, true};
  const CalibratedWeights all = calibrated();
  const QuantizeReport report =
      quantize_model(*files_, bnb, path("q"), AtomicFolder::IfExists::refuse, threads_, all);
  EXPECT_LT(*output_error_ratio(report.layers), 0.95);
  EXPECT_FALSE(output_error_ratio(errors_if_quantized(*files_, bnb, threads_)));

  const Loaded dense(path("m"), BaseFormat::dense, bnb), nearest(path("m"), BaseFormat::bnb_4bit, bnb);
  Loaded written(path("q"), BaseFormat::keep, bnb);
  for (const auto& [name, c] : all)
    EXPECT_EQ(elements(written.store.matrix(name, c.weight.rows, c.weight.cols)), elements(c.weight)) << name;
  std::vector<std::vector<int32_t>> rows;
  for (const Sample& s : samples_) rows.push_back(s.input_ids);
  const double by_nearest = compare_logits(dense.model, nearest.model, rows, threads_).relative,
               by_calibrated = compare_logits(dense.model, written.model, rows, threads_).relative;
  EXPECT_LT(by_calibrated, 0.9 * by_nearest);
}

TEST_F(CalibrationTest, GgufFilesGiveWhatTheFolderOfTheSameNumbersGives) {
  model_.dtype = DType::bf16;
  write_hf_folder(path("m"), model_);
  files_.emplace(ModelFiles::open(path("m")));
  const CalibratedWeights folder = calibrated();
  write_gguf(path("m.gguf"), model_);  // rows of q and k in another order
  files_.emplace(ModelFiles::open(path("m.gguf")));
  const CalibratedWeights gguf = calibrated();
  ASSERT_EQ(gguf.size(), 14U);
  for (const auto& [name, c] : folder) EXPECT_EQ(elements(gguf.at(name).weight), elements(c.weight)) << name;
}

TEST_F(CalibrationTest, ActivationsThatAreNotFiniteAreRefused) {
  model_.change_values = [](const std::string& name, std::vector<float>& values) {
    if (name == "model.layers.0.input_layernorm.weight") std::fill(values.begin(), values.end(), 1e30f);
  };
  write_hf_folder(path("m"), model_);
  files_.emplace(ModelFiles::open(path("m")));
  expect_error([&] { calibrated(); }, ErrorKind::format, {"not finite on the calibration rows"});
}

TEST_F(CalibrationTest, QuantizedCheckpointsAreRefusedBeforeAnyWork) {
  quantize_model(*files_, {Bnb4Type::nf4, 32, true}, path("q"), AtomicFolder::IfExists::refuse, threads_);
  files_.emplace(ModelFiles::open(path("q")));
  expect_error([&] { calibrated(); }, ErrorKind::usage, {"already quantized"});
}

TEST(SpreadSamples, TakesRowsEvenlyOverTheData) {
  std::vector<Sample> samples(10);
  for (size_t i = 0; i < samples.size(); ++i) samples[i].row_id = static_cast<int64_t>(i);
  std::vector<int64_t> ids;
  for (const Sample& s : spread_samples(samples, 4)) ids.push_back(s.row_id);
  EXPECT_THAT(ids, ::testing::ElementsAre(0, 2, 5, 7));
  EXPECT_EQ(spread_samples(samples, 99).size(), 10U);
}

}  // namespace
}  // namespace lorikeet::testing
