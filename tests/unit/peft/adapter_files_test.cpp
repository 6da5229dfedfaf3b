#include "peft/adapter_files.h"

#include <cstring>
#include <limits>

#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

constexpr const char* kA = "model.layers.0.self_attn.q_proj.lora_A.weight";
constexpr const char* kB = "model.layers.0.self_attn.q_proj.lora_B.weight";

class AdapterFilesTest : public TempFolder {
 protected:
  AdapterFilesTest() {
    // Rank 2 padded to 16, as the engine keeps it.
    const size_t a = store.declare("A", ParameterKind::lora_a, {16, 3}, 1);
    const size_t b = store.declare("B", ParameterKind::lora_b, {4, 16}, 0.5);
    store.declare_tensor({kA, a, 0, 2, 0, 3, {2, 3}});
    store.declare_tensor({kB, b, 0, 4, 0, 2, {4, 2}});
    store.allocate(false, false);
  }
  struct FileTensor {
    std::string name;
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  static std::vector<FileTensor> good() {
    return {{kA, {2, 3}, {1, 2, 3, 4, 5, 6}}, {kB, {4, 2}, {-1, -2, -3, -4, -5, -6, -7, -8}}};
  }
  template <class T>
  void write_file(const std::vector<FileTensor>& tensors, T (*convert)(float)) const {
    std::vector<SafetensorsEntry> entries;
    for (const FileTensor& t : tensors)
      entries.push_back({"base_model.model." + t.name, to_safetensors_type(DTypeOf<T>::value), t.shape});
    SafetensorsWriter writer(path("adapter_model.safetensors"), entries);
    for (const FileTensor& t : tensors) {
      std::vector<T> values;
      for (const float x : t.values) values.push_back(convert(x));
      writer.write("base_model.model." + t.name, std::span<const T>(values));
    }
    writer.commit();
  }
  void write_file(const std::vector<FileTensor>& tensors) const {
    write_file<float>(tensors, [](float x) { return x; });
  }
  void load() { load_adapter(store, read_adapter_tensors(folder_), folder_, 1, "other-base"); }
  void expect_loaded() {
    EXPECT_EQ(store.value_of(*store.find(kA)).row<float>(1)[2], 6);
    EXPECT_EQ(store.value_of(*store.find(kB)).row<float>(3)[1], -8);
    EXPECT_EQ(store.parameters()[0].value.row<float>(2)[0], 0) << "padding";
  }
  TrainableStore store{DType::f32};
};

TEST_F(AdapterFilesTest, ReadsFloat32Bfloat16AndFloat16) {
  write_file(good());
  load();
  expect_loaded();
  write_file<Bf16>(good(), to_bf16);
  load();
  expect_loaded();
  write_file<F16>(good(), to_f16);
  load();
  expect_loaded();
}

TEST_F(AdapterFilesTest, WritesPeftsNamesShapesAndMetadata) {
  write_file(good());
  load();
  const std::string out = path("out");
  std::filesystem::create_directory(out);
  write_adapter(out, store, AdapterConfig());
  const SafetensorsFile file = SafetensorsFile::open(out + "/adapter_model.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  ASSERT_EQ(file.tensors().size(), 2U);
  const SafetensorsTensor* b = file.find(std::string("base_model.model.") + kB);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->shape, (std::vector<int64_t>{4, 2}));
  float last = 0;
  std::memcpy(&last, b->data + 7 * sizeof(float), sizeof last);
  EXPECT_EQ(last, -8);
  EXPECT_TRUE(std::filesystem::exists(out + "/adapter_config.json"));
}

TEST_F(AdapterFilesTest, AFileThatPeftMadeIsWrittenBackWithTheSameTensors) {
  const std::string peft = std::string(LORIKEET_FIXTURES) + "/models/llama/adapter_list";
  const std::vector<AdapterTensor> tensors = read_adapter_tensors(peft);
  TrainableStore own(DType::f32);
  for (const AdapterTensor& t : tensors) {
    const bool is_a = t.name.find("lora_A") != std::string::npos;
    const size_t p = own.declare(t.name, is_a ? ParameterKind::lora_a : ParameterKind::lora_b,
                                 {t.shape[0], t.shape[1]}, 1);
    own.declare_tensor({t.name, p, 0, t.shape[0], 0, t.shape[1], t.shape});
  }
  own.allocate(false, false);
  load_adapter(own, tensors, peft, 3, "");
  write_adapter(folder_, own, AdapterConfig::read(peft));
  const std::vector<AdapterTensor> again = read_adapter_tensors(folder_);
  ASSERT_EQ(again.size(), tensors.size());
  for (size_t i = 0; i < again.size(); ++i) {
    EXPECT_EQ(again[i].name, tensors[i].name);
    EXPECT_EQ(again[i].values, tensors[i].values);
  }
}

TEST_F(AdapterFilesTest, TensorsThatFitNoLayerAreRefusedWithCounts) {
  std::vector<FileTensor> tensors = good();
  tensors.push_back({"model.layers.9.self_attn.q_proj.lora_A.weight", {2, 3}, {1, 2, 3, 4, 5, 6}});
  write_file(tensors);
  expect_error([&] { load(); }, ErrorKind::format,
               {"1 of 3 adapter tensors fit no layer of this model", "model.layers.9",
                "1 blocks expected, 10 found", "other-base"});
}

TEST_F(AdapterFilesTest, MissingTensorsAreRefusedWithCounts) {
  write_file(std::vector<FileTensor>{good()[0]});
  expect_error([&] { load(); }, ErrorKind::format, {"1 of 2 adapter tensors are missing", kB});
}

TEST_F(AdapterFilesTest, WrongShapesAndValuesAreRefusedByName) {
  std::vector<FileTensor> tensors = good();
  tensors[1].shape = {2, 4};
  write_file(tensors);
  expect_error([&] { load(); }, ErrorKind::format, {kB, "[2,4]", "[4,2]"});
  tensors = good();
  tensors[0].values[4] = std::numeric_limits<float>::infinity();
  write_file(tensors);
  expect_error([&] { load(); }, ErrorKind::format, {kA, "inf"});
}

TEST_F(AdapterFilesTest, PicklesAndForeignNamesAreRefused) {
  write("adapter_model.bin", "x");
  expect_error([&] { load(); }, ErrorKind::unsupported, {"adapter_model.bin"});
  SafetensorsWriter writer(path("adapter_model.safetensors"),
                           {{"q_proj.lora_A.weight", SafetensorsType::f32, {1}}});
  const float zero = 0;
  writer.write("q_proj.lora_A.weight", std::span<const float>(&zero, 1));
  writer.commit();
  expect_error([&] { load(); }, ErrorKind::format, {"q_proj.lora_A.weight", "base_model.model."});
}

}  // namespace
}  // namespace lorikeet::testing
