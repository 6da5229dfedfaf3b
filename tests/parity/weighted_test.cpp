// Adapters merged with weights, against the logits of PEFT's add_weighted_adapter, and of PEFT's model where
// one adapter lies on a quantized base.
#include "data/dataset.h"
#include "data/loader.h"
#include "export/merge.h"
#include "parity/recordings.h"
#include "train/loaded_model.h"
#include "train/memory_plan.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

class WeightedAdapters : public TempFolder, public ::testing::WithParamInterface<Recording> {};

TEST_P(WeightedAdapters, MergedModelHasPeftsLogits) {
  const Recording& recording = GetParam();
  const ModelFiles files = ModelFiles::open(recording.model());
  ThreadPool threads(2);
  MergeRequest request;
  for (const auto& [adapter, weight] : recording.entry["adapters"].items())
    request.adapters.push_back({recording.path(adapter), weight.get<double>()});
  request.combination =
      recording.entry["combination_type"] == "linear" ? Combination::linear : Combination::cat;
  request.base = original_base(files);
  request.dtype = DType::f32;
  request.output = path("merged");
  merge(files, request, threads);

  const ModelFiles merged = ModelFiles::open(path("merged"));
  LoadRequest load;
  load.compute_dtype = ComputeDtype::float32;
  load.threads = 2;
  load.positions = 64;
  LoadedModel model(merged, load);
  DatasetOptions options;
  options.format = DataFormat::tokenized;
  options.rows.vocab_size = merged.spec().vocab_size;
  const Dataset rows = load_dataset({recording.path("rows.jsonl")}, options, nullptr, nullptr, threads);
  MicroBatchStorage storage;
  std::vector<int32_t> lengths, every;
  for (const Sample& s : rows.samples) {
    storage.append(s);
    lengths.push_back(static_cast<int32_t>(s.input_ids.size()));
  }
  const MicroBatch batch = storage.view();
  for (int32_t i = 0; i < batch.n(); ++i) every.push_back(i);
  std::vector<float> values(static_cast<size_t>(batch.n() * merged.spec().vocab_size));
  const TensorView logits(values.data(), {batch.n(), merged.spec().vocab_size}, DType::f32);
  Arena arena(evaluation_bytes(model.model(), Device::cpu, threads, lengths).total() + (size_t{1} << 20));
  Decoder(model.model(), model.stream(&arena)).logits(batch, {}, {}, every, logits);

  const SafetensorsFile expected = SafetensorsFile::open(recording.path(recording.name() + ".safetensors"));
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    const std::string name = fmt::format("logits.{}", row);
    const TensorView recorded = float_view(*expected.find(name), expected.path());
    Nmse nmse;
    for (int64_t i = 0; i < recorded.rows; ++i)
      for (int64_t k = 0; k < recorded.cols; ++k)
        nmse.add(logits.row<float>(batch.rows[row].q_begin + i)[k], recorded.row<float>(i)[k]);
    EXPECT_LE(nmse.value(), 1e-10) << name;  // f32 rounding of every layer
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, WeightedAdapters, ::testing::ValuesIn(recordings("weighted")), test_name);

}  // namespace
}  // namespace lorikeet::testing
