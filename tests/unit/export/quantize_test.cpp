#include "export/quantize.h"

#include <gmock/gmock.h>

#include <bit>
#include <limits>

#include "model/loader.h"
#include "quant/format.h"
#include "unit/io/temp_folder.h"
#include "unit/model/checkpoint_tensors.h"
#include "unit/model/model_on_disk.h"

namespace lorikeet::testing {
namespace {

const char* const kDown = "model.layers.0.mlp.down_proj.weight";
constexpr int64_t kRows = 36, kCols = 52;

class QuantizeTest : public TempFolder {
 protected:
  void SetUp() override {
    model_.dtype = DType::bf16;
    model_.config["torch_dtype"] = "bfloat16";
    write_hf_folder(path("m"), model_);
  }
  QuantizeReport quantize(const Bnb4Options& options = {}) {
    return quantize_model(ModelFiles::open(path("m")), options, path("q"), AtomicFolder::IfExists::replace,
                          threads_);
  }
  std::vector<float> kept(const std::string& name) {
    const ModelFiles files = ModelFiles::open(path("q"));
    LoadOptions o;
    o.base_format = BaseFormat::keep;
    WeightStore store(files, o);
    const ExpectedTensor& t = files.at(name).expected;
    return elements(store.matrix(name, t.rows, t.cols));
  }
  /// Applies `change` to the tensors or the quantization_config of the written checkpoint.
  void alter(const std::function<void(CheckpointTensors&, Json&)>& change) {
    Json config = read_json_file(path("q/config.json"));
    CheckpointTensors tensors(path("q"));
    change(tensors, config["quantization_config"]);
    tensors.save();
    write_file_atomic(path("q/config.json"), to_text(config));
  }
  std::string state_name(const std::string& type = "nf4") const {
    return std::string(kDown) + ".quant_state.bitsandbytes__" + type;
  }
  OnDisk model_;
  ThreadPool threads_{2};
};

TEST_F(QuantizeTest, ReadingGivesTheBitsThatTheLoaderMakes) {
  for (const Bnb4Type type : {Bnb4Type::nf4, Bnb4Type::fp4})
    for (const bool nested : {false, true})
      for (const int32_t blocksize : {32, 64, 4096}) {
        SCOPED_TRACE(fmt::format("{} {} {}", name_of(type), nested, blocksize));
        LoadOptions o;
        o.base_format = BaseFormat::bnb_4bit;
        o.bnb = {type, blocksize, nested};
        quantize(o.bnb);
        const ModelFiles files = ModelFiles::open(path("m"));
        WeightStore made(files, o);
        for (const ExpectedTensor& t : expected_tensors(files.spec())) {
          if (t.role == TensorRole::vector) continue;
          ASSERT_EQ(kept(t.name), elements(made.matrix(t.name, t.rows, t.cols))) << t.name;
        }
      }
}

TEST_F(QuantizeTest, KeptWeightsLieInTheFile) {
  quantize();
  const ModelFiles files = ModelFiles::open(path("q"));
  EXPECT_TRUE(files.quantized());
  EXPECT_EQ(static_cast<int>(files.stored_dtype()), static_cast<int>(DType::bf16));
  EXPECT_THAT(files.unexpected(), ::testing::IsEmpty());
  LoadOptions o;
  o.base_format = BaseFormat::keep;
  WeightStore store(files, o);
  const Weight w = store.matrix(kDown, kRows, kCols);
  EXPECT_EQ(static_cast<int>(w.format), static_cast<int>(WeightFormat::bnb4));
  EXPECT_EQ(w.data, files.at(kDown).stored.data);
  EXPECT_EQ(store.bytes().owned, 0);
  EXPECT_EQ(store.bytes().mapped, static_cast<int64_t>(files.at(kDown).bytes()));
}

TEST_F(QuantizeTest, TheStateIsWhatBitsandbytesReads) {
  quantize({Bnb4Type::fp4, 128, true});
  const CheckpointTensors t(path("q"));
  const Json state = parse_json(t.all.at(state_name("fp4")).bytes, "state");
  EXPECT_EQ(state["quant_type"], "fp4");
  EXPECT_EQ(state["blocksize"], 128);
  EXPECT_EQ(state["dtype"], "bfloat16");
  EXPECT_EQ(state["shape"], (Json{kRows, kCols}));
  EXPECT_EQ(state["nested_blocksize"], 256);
  EXPECT_EQ(state["nested_dtype"], "float32");
  EXPECT_GT(state["nested_offset"].get<double>(), 0);
  EXPECT_EQ(t.all.at(kDown).shape, (std::vector<int64_t>{kRows * kCols / 2, 1}));
  const Json config = read_json_file(path("q/config.json"));
  EXPECT_EQ(config["quantization_config"]["quant_method"], "bitsandbytes");
  EXPECT_EQ(config["quantization_config"]["bnb_4bit_quant_type"], "fp4");
}

TEST_F(QuantizeTest, ErrorsAreThoseOfTheWrittenWeights) {
  const QuantizeReport r = quantize();
  const ModelFiles files = ModelFiles::open(path("m"));
  std::vector<int32_t> map;
  const std::vector<float> exact = elements(stored_weight(files.at(kDown), files.spec(), map)),
                           found = kept(kDown);
  double error = 0, size = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(double{found[i]} - double{exact[i]}, 2);
    size += std::pow(double{exact[i]}, 2);
  }
  const auto at =
      std::find_if(r.layers.begin(), r.layers.end(), [](const auto& l) { return l.name == kDown; });
  ASSERT_NE(at, r.layers.end());
  EXPECT_NEAR(at->error.relative_rms, std::sqrt(error / size), 1e-12);
  EXPECT_GE(at->error.worst_block, at->error.relative_rms);
  const std::vector<LayerError> again = errors_against(ModelFiles::open(path("q")), files, threads_);
  EXPECT_EQ(pooled_relative_rms(again), pooled_relative_rms(r.layers));
  EXPECT_EQ(pooled_relative_rms(errors_if_quantized(files, {}, threads_)), pooled_relative_rms(r.layers));
}

TEST_F(QuantizeTest, EveryStorageTypeOfTheSameBytesIsRead) {
  quantize();
  const std::vector<float> expected = kept(kDown);
  for (const SafetensorsType type : {SafetensorsType::bf16, SafetensorsType::f16, SafetensorsType::f32}) {
    alter([&](CheckpointTensors& t, Json& config) {
      const int64_t size = bits_of(type) / 8;
      t.all.at(kDown).type = type;
      t.all.at(kDown).shape = {kRows * kCols / 2 / size, 1};
      config["bnb_4bit_quant_storage"] = "whatever";
    });
    EXPECT_EQ(kept(kDown), expected) << name_of(type);
  }
}

TEST_F(QuantizeTest, MapsOfTheFileAreUsed) {
  quantize();
  const std::vector<float> before = kept(kDown);
  alter([&](CheckpointTensors& t, Json&) {
    for (size_t i = 0; i < 16; ++i) t.put_float(std::string(kDown) + ".quant_map", i, 2 * kNf4Code[i]);
  });
  const std::vector<float> after = kept(kDown);
  for (size_t i = 0; i < before.size(); ++i) ASSERT_EQ(after[i], 2 * before[i]);
}

TEST_F(QuantizeTest, NestedMapsOfTheFileAreUsed) {
  quantize({Bnb4Type::nf4, 64, true});
  alter([&](CheckpointTensors& t, Json&) {
    for (size_t i = 0; i < 256; ++i) t.put_float(std::string(kDown) + ".nested_quant_map", i, 0);
  });
  const Json state = parse_json(CheckpointTensors(path("q")).all.at(state_name()).bytes, "state");
  const auto offset = static_cast<float>(state["nested_offset"].get<double>());
  float largest = 0;
  for (const float x : kept(kDown)) largest = std::max(largest, std::abs(x));
  EXPECT_EQ(largest, offset);  // every scale is the offset now
}

TEST_F(QuantizeTest, SkippedModulesStayDense) {
  quantize();
  const ModelFiles dense = ModelFiles::open(path("m"));
  std::vector<int32_t> map;
  const std::vector<float> exact = elements(stored_weight(dense.at(kDown), dense.spec(), map));
  alter([&](CheckpointTensors& t, Json& config) {
    std::erase_if(t.all, [](const auto& x) { return x.first.starts_with(kDown); });
    t.all[kDown] = {SafetensorsType::f32,
                    {kRows, kCols},
                    std::string(reinterpret_cast<const char*>(exact.data()), exact.size() * 4)};
    config["llm_int8_skip_modules"] = {"lm_head", "model.layers.0.mlp.down_proj"};
  });
  EXPECT_EQ(kept(kDown), exact);
  EXPECT_THAT(ModelFiles::open(path("q")).quantization().notes,
              ::testing::Contains(
                  ::testing::HasSubstr("1 linear layers are stored dense, as llm_int8_skip_modules")));
}

TEST_F(QuantizeTest, DefaultsThatSurpriseAreReported) {
  quantize();
  alter([](CheckpointTensors&, Json& config) {
    for (const char* key : {"bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_compute_dtype"})
      config.erase(key);
  });
  const Quantization q = ModelFiles::open(path("q")).quantization();
  EXPECT_EQ(q.method, "bitsandbytes");
  EXPECT_THAT(q.traits, ::testing::ElementsAre("nf4", "double quantization", "blocks of 64"));
  EXPECT_THAT(q.notes, ::testing::ElementsAre(::testing::HasSubstr("fp4 in config.json (its default)"),
                                              ::testing::HasSubstr("bnb_4bit_use_double_quant is false"),
                                              ::testing::HasSubstr("float32 by default")));
}

TEST_F(QuantizeTest, AQuantizedCheckpointIsNotQuantizedAgain) {
  quantize();
  expect_error(
      [&] {
        quantize_model(ModelFiles::open(path("q")), {}, path("qq"), AtomicFolder::IfExists::refuse, threads_);
      },
      ErrorKind::usage, {"already quantized (bitsandbytes)"});
}

struct Damage {
  const char* name;
  std::function<void(CheckpointTensors&, Json&)> change;
  ErrorKind kind;
  std::vector<std::string> says;
};

void set_state(CheckpointTensors& t, const std::string& key, const Json& value) {
  CheckpointTensors::Tensor& state = t.all.at(std::string(kDown) + ".quant_state.bitsandbytes__nf4");
  Json json = parse_json(state.bytes, "state");
  json[key] = value;
  state.bytes = to_text(json);
  state.shape = {static_cast<int64_t>(state.bytes.size())};
}

const std::string kPart = std::string(kDown) + ".";
const Damage kDamages[] = {
    {"a part is missing",
     [](CheckpointTensors& t, Json&) { t.all.erase(kPart + "absmax"); },
     ErrorKind::format,
     {kPart + "absmax", "missing"}},
    {"the codes are missing",
     [](CheckpointTensors& t, Json&) { t.all.erase(kDown); },
     ErrorKind::format,
     {kDown, "missing"}},
    {"the state is missing",
     [](CheckpointTensors& t, Json&) { t.all.erase(kPart + "quant_state.bitsandbytes__nf4"); },
     ErrorKind::format,
     {kDown, "no quantization state"}},
    {"a part is unknown",
     [](CheckpointTensors& t, Json&) {
       t.all[kPart + "scb"] = {SafetensorsType::u8, {1}, "x"};
     },
     ErrorKind::format,
     {"scb"}},
    {"there are two states",
     [](CheckpointTensors& t, Json&) {
       t.all[kPart + "quant_state.bitsandbytes__fp4"] = {SafetensorsType::u8, {2}, "{}"};
     },
     ErrorKind::format,
     {"two quantization states"}},
    {"the state is no JSON",
     [](CheckpointTensors& t, Json&) {
       t.all[kPart + "quant_state.bitsandbytes__nf4"] = {SafetensorsType::u8, {2}, "{]"};
     },
     ErrorKind::format,
     {"quant_state"}},
    {"the state is no object",
     [](CheckpointTensors& t, Json&) {
       t.all[kPart + "quant_state.bitsandbytes__nf4"] = {SafetensorsType::u8, {2}, "[]"};
     },
     ErrorKind::format,
     {"quant_state"}},
    {"the state has an unknown field",
     [](CheckpointTensors& t, Json&) { set_state(t, "zero", 1); },
     ErrorKind::format,
     {"zero"}},
    {"the type is another",
     [](CheckpointTensors& t, Json&) { set_state(t, "quant_type", "fp4"); },
     ErrorKind::format,
     {"fp4"}},
    {"the shape is another",
     [](CheckpointTensors& t, Json&) {
       set_state(t, "shape", {52, 36});
     },
     ErrorKind::format,
     {"[52,36]", "[36,52]"}},
    {"the block size is none",
     [](CheckpointTensors& t, Json&) { set_state(t, "blocksize", 96); },
     ErrorKind::format,
     {"96"}},
    {"the block size is another",
     [](CheckpointTensors& t, Json&) { set_state(t, "blocksize", 32); },
     ErrorKind::format,
     {kPart + "absmax"}},
    {"the nested block size is zero",
     [](CheckpointTensors& t, Json&) { set_state(t, "nested_blocksize", 0); },
     ErrorKind::format,
     {"nested_blocksize 0"}},
    {"the offset is no number",
     [](CheckpointTensors& t, Json&) { set_state(t, "nested_offset", "x"); },
     ErrorKind::format,
     {"nested_offset"}},
    {"the offset is out of range",
     [](CheckpointTensors& t, Json&) { set_state(t, "nested_offset", 1e300); },
     ErrorKind::format,
     {"nested_offset is inf"}},
    {"the element type is unknown",
     [](CheckpointTensors& t, Json&) { set_state(t, "dtype", "int4"); },
     ErrorKind::unsupported,
     {"int4"}},
    {"the codes are cut off",
     [](CheckpointTensors& t, Json&) {
       t.all[kDown] = {SafetensorsType::u8, {900, 1}, std::string(900, 'x')};
     },
     ErrorKind::format,
     {"900", "936"}},
    {"the map has NaN",
     [](CheckpointTensors& t, Json&) {
       t.put_float(kPart + "quant_map", 3, std::numeric_limits<float>::quiet_NaN());
     },
     ErrorKind::format,
     {kPart + "quant_map", "element 3"}},
    {"the map is of another type",
     [](CheckpointTensors& t, Json&) {
       t.all[kPart + "quant_map"] = {SafetensorsType::f16, {16}, std::string(32, 'x')};
     },
     ErrorKind::format,
     {kPart + "quant_map", "F16"}},
    {"a skipped module is quantized",
     [](CheckpointTensors&, Json& c) { c["llm_int8_skip_modules"] = {"down_proj"}; },
     ErrorKind::format,
     {"model.layers.0.mlp.down_proj", "llm_int8_skip_modules"}},
    {"the skip list is no list",
     [](CheckpointTensors&, Json& c) { c["llm_int8_skip_modules"] = 3; },
     ErrorKind::format,
     {"llm_int8_skip_modules"}},
    {"it is an 8-bit checkpoint",
     [](CheckpointTensors&, Json& c) { c["load_in_8bit"] = true; },
     ErrorKind::unsupported,
     {"LLM.int8"}},
    {"it is neither",
     [](CheckpointTensors&, Json& c) { c["load_in_4bit"] = c["_load_in_4bit"] = false; },
     ErrorKind::format,
     {"load_in_4bit"}},
    {"the method is another",
     [](CheckpointTensors&, Json& c) { c["quant_method"] = "hqq"; },
     ErrorKind::unsupported,
     {"hqq", "bitsandbytes"}},
};

TEST_F(QuantizeTest, DamagedCheckpointsAreRefusedByName) {
  for (const Damage& d : kDamages) {
    SCOPED_TRACE(d.name);
    quantize();
    alter(d.change);
    ErrorKind kind = ErrorKind::internal;
    const std::string text = error_of([&] { ModelFiles::open(path("q")); }, &kind);
    EXPECT_EQ(static_cast<int>(kind), static_cast<int>(d.kind)) << text;
    for (const std::string& part : d.says) EXPECT_THAT(text, ::testing::HasSubstr(part));
  }
}

TEST_F(QuantizeTest, ScalesThatAreNotFiniteAreRefusedWhenLoaded) {
  for (const bool nested : {false, true}) {
    quantize({Bnb4Type::nf4, 64, nested});
    alter([&](CheckpointTensors& t, Json&) {
      t.put_float(kPart + (nested ? "nested_absmax" : "absmax"), 0, std::numeric_limits<float>::infinity());
    });
    expect_error([&] { kept(kDown); }, ErrorKind::format, {kDown, "scale [0,0]", "inf"});
  }
}

}  // namespace
}  // namespace lorikeet::testing
