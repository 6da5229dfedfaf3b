#include "model/loader.h"

#include <gmock/gmock.h>

#include <limits>

#include "unit/io/temp_folder.h"
#include "unit/model/model_on_disk.h"

namespace lorikeet::testing {
namespace {

class WeightStoreTest : public TempFolder {
 protected:
  static void load_all(WeightStore& store, const ModelFiles& files) {
    for (const ExpectedTensor& t : expected_tensors(files.spec())) {
      if (t.role == TensorRole::vector)
        store.vector(t.name, t.cols);
      else
        store.matrix(t.name, t.rows, t.cols);
    }
  }
  static LoadOptions options(BaseFormat format, DType compute = DType::f32) {
    LoadOptions o;
    o.base_format = format;
    o.compute = compute;
    return o;
  }
};

const char* const kQ = "model.layers.1.self_attn.q_proj.weight";

TEST_F(WeightStoreTest, DenseTensorsAreUsedInPlace) {
  OnDisk m;
  m.dtype = DType::bf16;
  write_hf_folder(path("m"), m);
  const ModelFiles files = ModelFiles::open(path("m"));
  WeightStore store(files, options(BaseFormat::dense, DType::bf16));
  const Weight w = store.matrix(kQ, 36, 36);
  EXPECT_EQ(w.data, files.at(kQ).stored.data);
  EXPECT_EQ(w.dtype, DType::bf16);
  EXPECT_EQ(store.bytes().mapped, 36 * 36 * 2);
  EXPECT_EQ(store.bytes().owned, 0);
}

TEST_F(WeightStoreTest, NormWeightsBecomeF32RoundedToTheComputeType) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  const std::vector<float> exact = tensor_values({"model.norm.weight", 1, 36, TensorRole::vector});
  WeightStore f32(files, options(BaseFormat::dense)), bf16(files, options(BaseFormat::dense, DType::bf16));
  EXPECT_EQ(f32.vector("model.norm.weight", 36).as<float>()[1], exact[1]);
  EXPECT_EQ(bf16.vector("model.norm.weight", 36).as<float>()[1], to_float(to_bf16(exact[1])));
}

TEST_F(WeightStoreTest, GgufRowsComeInHuggingFaceOrder) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    OnDisk m;
    m.dtype = dtype;
    write_hf_folder(path("m"), m);
    write_gguf(path("m.gguf"), m);
    const ModelFiles hf = ModelFiles::open(path("m")), gguf = ModelFiles::open(path("m.gguf"));
    WeightStore a(hf, options(BaseFormat::dense)), b(gguf, options(BaseFormat::dense));
    for (const ExpectedTensor& t : expected_tensors(hf.spec())) {
      if (t.role == TensorRole::vector) continue;
      EXPECT_EQ(elements(a.matrix(t.name, t.rows, t.cols)), elements(b.matrix(t.name, t.rows, t.cols)))
          << t.name;
    }
  }
}

TEST_F(WeightStoreTest, KeptGgufBlocksStayInTheFileAndFollowTheRowMap) {
  OnDisk m;
  m.config = blocked_config();
  write_gguf(path("m.gguf"), m, /*q8=*/true);
  const ModelFiles files = ModelFiles::open(path("m.gguf"));
  EXPECT_TRUE(files.quantized());
  WeightStore keep(files, options(BaseFormat::keep)), dense(files, options(BaseFormat::dense));
  const Weight w = keep.matrix(kQ, 64, 64), d = dense.matrix(kQ, 64, 64);
  EXPECT_EQ(w.format, WeightFormat::q8_0);
  EXPECT_EQ(w.data, files.at(kQ).stored.data);
  EXPECT_EQ(d.format, WeightFormat::dense);
  EXPECT_EQ(elements(w), elements(d));
  const std::vector<float> exact = tensor_values({kQ, 64, 64, TensorRole::linear});
  for (size_t i = 0; i < exact.size(); ++i)
    EXPECT_NEAR(elements(w)[i], exact[i], 0.25f / 127);  // half a step, and the scale in f16
}

TEST_F(WeightStoreTest, DequantizingForBf16RoundsOnce) {
  OnDisk m;
  m.config = blocked_config();
  write_gguf(path("m.gguf"), m, true);
  const ModelFiles files = ModelFiles::open(path("m.gguf"));
  WeightStore bf16(files, options(BaseFormat::dense, DType::bf16)), f32(files, options(BaseFormat::dense));
  const std::vector<float> rounded = elements(bf16.matrix(kQ, 64, 64)),
                           exact = elements(f32.matrix(kQ, 64, 64));
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(rounded[i], to_float(to_bf16(exact[i])));
}

TEST_F(WeightStoreTest, QuantizingDoesNotDependOnThreadsAndLeavesEmbeddingAndHeadDense) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  for (const bool double_quant : {false, true}) {
    ThreadPool pool(3);
    LoadOptions one = options(BaseFormat::bnb_4bit), three = one;
    one.bnb.double_quant = three.bnb.double_quant = double_quant;
    three.threads = &pool;
    WeightStore a(files, one), b(files, three);
    const Weight x = a.matrix(kQ, 36, 36), y = b.matrix(kQ, 36, 36);
    EXPECT_EQ(x.format, WeightFormat::bnb4);
    EXPECT_EQ(elements(x), elements(y));
    std::vector<uint8_t> codes(36 * 36 / 2);
    std::vector<float> absmax(static_cast<size_t>(bnb4_blocks(36 * 36, 64)));
    std::vector<int32_t> map;
    encode_bnb4(stored_weight(files.at(kQ), files.spec(), map), one.bnb, 0, bnb4_blocks(36 * 36, 64),
                codes.data(), absmax.data(), kQ);
    EXPECT_EQ(std::memcmp(x.data, codes.data(), codes.size()), 0);
    EXPECT_EQ(a.matrix("lm_head.weight", 43, 36).format, WeightFormat::dense);
    EXPECT_EQ(a.matrix("model.embed_tokens.weight", 43, 36).format, WeightFormat::dense);
  }
}

TEST_F(WeightStoreTest, PlannedBytesEqualLoadedBytes) {
  OnDisk m;
  m.config = blocked_config();
  write_hf_folder(path("m"), m);
  write_gguf(path("m.gguf"), m, true);
  for (const std::string& name : {path("m"), path("m.gguf")}) {
    const ModelFiles files = ModelFiles::open(name);
    for (const BaseFormat format : {BaseFormat::dense, BaseFormat::bnb_4bit, BaseFormat::keep}) {
      LoadOptions real = options(format, DType::bf16), dry = real;
      dry.dry = true;
      WeightStore a(files, real), b(files, dry);
      load_all(a, files);
      load_all(b, files);
      EXPECT_EQ(a.bytes().owned, b.bytes().owned);
      EXPECT_EQ(a.bytes().mapped, b.bytes().mapped);
      EXPECT_GT(a.bytes().total(), 0);
      EXPECT_EQ(b.matrix(kQ, 64, 64).data, nullptr);
      EXPECT_EQ(b.matrix(kQ, 64, 64).format, a.matrix(kQ, 64, 64).format);
    }
  }
}

TEST_F(WeightStoreTest, NanIsRefusedByTensorName) {
  OnDisk m;
  m.change_values = [](const std::string& name, std::vector<float>& v) {
    if (name == kQ) v[40] = std::numeric_limits<float>::quiet_NaN();
    if (name == "model.norm.weight") v[2] = std::numeric_limits<float>::infinity();
  };
  write_hf_folder(path("m"), m);
  const ModelFiles files = ModelFiles::open(path("m"));
  WeightStore store(files, options(BaseFormat::bnb_4bit));
  expect_error([&] { store.matrix(kQ, 36, 36); }, ErrorKind::format, {kQ, "[1,4]"});
  expect_error([&] { store.vector("model.norm.weight", 36); }, ErrorKind::format,
               {"model.norm.weight", "inf"});
}

TEST_F(WeightStoreTest, AFileThatChangesWhileItIsReadIsRefused) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  WeightStore store(files, options(BaseFormat::dense));
  std::ofstream(path("m/model.safetensors"), std::ios::app) << "x";
  expect_error([&] { store.matrix(kQ, 36, 36); }, ErrorKind::resource, {"changed"});
}

}  // namespace
}  // namespace lorikeet::testing
