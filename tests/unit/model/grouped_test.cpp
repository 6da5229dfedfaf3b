// GPTQ and AWQ checkpoints: what their configuration allows, and damage. Their numbers are checked in
// tests/parity.
#include <gmock/gmock.h>

#include <filesystem>

#include "io/atomic_file.h"
#include "model/loader.h"
#include "unit/io/temp_folder.h"
#include "unit/model/checkpoint_tensors.h"
#include "unit/model/model_on_disk.h"

namespace lorikeet::testing {
namespace {

const std::string kModule = "model.layers.0.self_attn.o_proj", kDown = "model.layers.1.mlp.down_proj";

class GroupedCheckpoint : public TempFolder {
 protected:
  void take(const std::string& fixture) {
    std::filesystem::remove_all(path("m"));
    std::filesystem::copy(std::string(LORIKEET_FIXTURES) + "/models/" + fixture, path("m"));
  }
  void alter(const std::function<void(CheckpointTensors&, Json&)>& change) {
    Json config = read_json_file(path("m/config.json"));
    CheckpointTensors tensors(path("m"));
    change(tensors, config["quantization_config"]);
    tensors.save();
    write_file_atomic(path("m/config.json"), to_text(config));
  }
  std::vector<float> kept(const std::string& module, BaseFormat format = BaseFormat::keep) {
    const ModelFiles files = ModelFiles::open(path("m"));
    LoadOptions o;
    o.base_format = format;
    WeightStore store(files, o);
    const ExpectedTensor& t = files.at(module + ".weight").expected;
    return elements(store.matrix(t.name, t.rows, t.cols));
  }
};

TEST_F(GroupedCheckpoint, WeightsLieInTheFile) {
  for (const char* fixture : {"llama_gptq", "llama_awq"}) {
    take(fixture);
    const ModelFiles files = ModelFiles::open(path("m"));
    EXPECT_TRUE(files.quantized());
    EXPECT_THAT(files.unexpected(), ::testing::IsEmpty()) << fixture;
    LoadOptions o;
    o.base_format = BaseFormat::keep;
    WeightStore store(files, o);
    const SourceTensor& t = files.at(kDown + ".weight");
    const Weight w = store.matrix(kDown + ".weight", t.expected.rows, t.expected.cols);
    EXPECT_TRUE(w.by_columns());
    EXPECT_EQ(w.data, t.stored.data);
    EXPECT_EQ(store.bytes().owned, 0);
    EXPECT_EQ(kept(kDown), kept(kDown, BaseFormat::dense));
  }
}

TEST_F(GroupedCheckpoint, VersionOneStoresTheZeroLessOne) {
  take("llama_gptq");
  const std::vector<float> before = kept(kModule);
  alter([](CheckpointTensors&, Json& config) { config["checkpoint_format"] = "gptq_v2"; });
  const std::vector<float> after = kept(kModule);
  size_t larger = 0;
  for (size_t i = 0; i < before.size(); ++i) larger += after[i] > before[i];  // a zero that is smaller by one
  EXPECT_EQ(larger, before.size());
}

TEST_F(GroupedCheckpoint, DescribesItself) {
  take("llama_gptq_v2");
  const Quantization q = ModelFiles::open(path("m")).quantization();
  EXPECT_EQ(q.method, "gptq_v2");
  EXPECT_THAT(q.traits, ::testing::Contains("2, 3, 4, 8 bits"));
  EXPECT_THAT(q.traits, ::testing::Contains(::testing::HasSubstr("act-order")));
}

TEST_F(GroupedCheckpoint, ActOrderNeedsItsIndex) {
  take("llama_gptq_v2");
  alter([](CheckpointTensors& t, Json&) { t.all.erase(kModule + ".g_idx"); });
  expect_error([&] { ModelFiles::open(path("m")); }, ErrorKind::format, {kModule + ".g_idx", "desc_act"});
}

struct Damage {
  const char* name;
  const char* fixture;
  std::function<void(CheckpointTensors&, Json&)> change;
  ErrorKind kind;
  std::vector<std::string> says;
};
const Damage kDamages[] = {
    {"the scales are missing",
     "llama_gptq",
     [](CheckpointTensors& t, Json&) { t.all.erase(kModule + ".scales"); },
     ErrorKind::format,
     {kModule + ".scales", "missing"}},
    {"the zeros are missing",
     "llama_awq",
     [](CheckpointTensors& t, Json&) { t.all.erase(kModule + ".qzeros"); },
     ErrorKind::format,
     {kModule + ".qzeros", "missing"}},
    {"the codes are missing",
     "llama_gptq",
     [](CheckpointTensors& t, Json&) { t.all.erase(kModule + ".qweight"); },
     ErrorKind::format,
     {kModule + ".weight", "missing"}},
    {"the bits are others",
     "llama_gptq",
     [](CheckpointTensors&, Json& c) { c["bits"] = 8; },
     ErrorKind::format,
     {kModule + ".qweight", "8 bits"}},
    {"the group size is another",
     "llama_awq",
     [](CheckpointTensors&, Json& c) { c["group_size"] = 16; },
     ErrorKind::format,
     {"scales"}},
    {"the group size is zero",
     "llama_gptq",
     [](CheckpointTensors&, Json& c) { c["group_size"] = 0; },
     ErrorKind::format,
     {"group_size 0"}},
    {"a column is in no group",
     "llama_gptq",
     [](CheckpointTensors& t, Json&) {
       const int32_t far = 9;
       std::memcpy(t.all.at(kDown + ".g_idx").bytes.data() + 8, &far, 4);
     },
     ErrorKind::format,
     {kDown + ".g_idx", "column 2 is in group 9"}},
    {"a module is left out and quantized",
     "llama_gptq",
     [](CheckpointTensors&, Json& c) { c["dynamic"]["-:.*o_proj"] = Json::object(); },
     ErrorKind::format,
     {kModule, "dynamic"}},
    {"a pattern is broken",
     "llama_gptq",
     [](CheckpointTensors&, Json& c) {
       c["dynamic"] = Json{{"(", Json::object()}};
     },
     ErrorKind::format,
     {"dynamic", "regular expression"}},
    {"an AWQ module is left out and quantized",
     "llama_awq",
     [](CheckpointTensors&, Json& c) { c["modules_to_not_convert"] = {"o_proj"}; },
     ErrorKind::format,
     {kModule, "modules_to_not_convert"}},
    {"the bits are not read",
     "llama_gptq",
     [](CheckpointTensors&, Json& c) {
       c["dynamic"] = Json::object();
       c["bits"] = 5;
     },
     ErrorKind::unsupported,
     {"5 bits", "2, 3, 4 and 8"}},
    {"the format is not read",
     "llama_gptq",
     [](CheckpointTensors&, Json& c) { c["checkpoint_format"] = "marlin"; },
     ErrorKind::unsupported,
     {"marlin"}},
    {"the words are others",
     "llama_gptq",
     [](CheckpointTensors&, Json& c) { c["pack_dtype"] = "int16"; },
     ErrorKind::unsupported,
     {"int16"}},
    {"the AWQ version is not read",
     "llama_awq",
     [](CheckpointTensors&, Json& c) { c["version"] = "gemv"; },
     ErrorKind::unsupported,
     {"gemv", "gemm"}},
    {"the method is another",
     "llama_gptq",
     [](CheckpointTensors&, Json& c) { c["quant_method"] = "marlin"; },
     ErrorKind::unsupported,
     {"marlin", "gptq, awq"}},
    {"the group size is absurd",
     "llama_awq",
     [](CheckpointTensors&, Json& c) { c["group_size"] = INT64_MAX; },
     ErrorKind::format,
     {"group_size 9223372036854775807"}},
    {"the zeros are of another shape",
     "llama_gptq",
     [](CheckpointTensors& t, Json&) {
       auto& zeros = t.all.at(kModule + ".qzeros");
       zeros.shape = {static_cast<int64_t>(zeros.bytes.size()) / 8};
       zeros.bytes.resize(zeros.bytes.size() / 2);
     },
     ErrorKind::format,
     {kModule + ".qzeros"}},
    {"activations are scaled",
     "llama_awq",
     [](CheckpointTensors& t, Json&) {
       t.all["model.layers.0.mlp.act.scales"] = {SafetensorsType::f16, {1}, "xx"};
     },
     ErrorKind::unsupported,
     {"mlp.act.scales", "scaled activations"}},
    {"the scales have another type",
     "llama_awq",
     [](CheckpointTensors& t, Json&) {
       auto& s = t.all.at(kModule + ".scales");
       s.type = SafetensorsType::i16;
     },
     ErrorKind::unsupported,
     {"scales", "I16"}},
};

TEST_F(GroupedCheckpoint, DamageIsRefusedByName) {
  for (const Damage& d : kDamages) {
    SCOPED_TRACE(d.name);
    take(d.fixture);
    alter(d.change);
    ErrorKind kind = ErrorKind::internal;
    const std::string text = error_of([&] { ModelFiles::open(path("m")); }, &kind);
    EXPECT_EQ(static_cast<int>(kind), static_cast<int>(d.kind)) << text;
    for (const std::string& part : d.says) EXPECT_THAT(text, ::testing::HasSubstr(part));
  }
}

TEST_F(GroupedCheckpoint, ScalesThatAreNotFiniteAreRefusedWhenLoaded) {
  take("llama_awq");
  alter([](CheckpointTensors& t, Json&) {
    const uint16_t infinity = 0x7c00;
    std::memcpy(t.all.at(kModule + ".scales").bytes.data() + 2 * 65, &infinity, 2);
  });
  expect_error([&] { kept(kModule); }, ErrorKind::format, {kModule, "scale [1,1]", "inf"});
}

}  // namespace
}  // namespace lorikeet::testing
