#include "io/safetensors.h"

#include <cstring>

#include "io/folder.h"
#include "io/safetensors_writer.h"
#include "temp_folder.h"

namespace lorikeet {
namespace {

using testing::expect_error;

std::string with_length(const std::string& header, const std::string& data = "") {
  std::string s(8, '\0');
  for (int i = 0; i < 8; ++i) s[i] = static_cast<char>(header.size() >> (8 * i));
  return s + header + data;
}

class SafetensorsTest : public testing::TempFolder {
 protected:
  /// Expects that a file of this header and so many data bytes is refused with these words.
  void refuse(const std::string& header, size_t data_bytes, std::initializer_list<std::string> parts) {
    const std::string p = write("t.safetensors", with_length(header, std::string(data_bytes, '\1')));
    SCOPED_TRACE(header);
    expect_error([&] { SafetensorsFile::open(p); }, ErrorKind::format, parts);
    expect_error([&] { SafetensorsFile::open(p); }, ErrorKind::format, {p});
  }
  void write_two(const std::string& p) {
    SafetensorsWriter w(p, {{"b", SafetensorsType::f32, {2, 3}}, {"a", SafetensorsType::bf16, {2}}});
    const float values[6] = {1, 2, 3, 4, 5, 6};
    const Bf16 halves[2] = {to_bf16(7), to_bf16(8)};
    w.write("a", std::span<const Bf16>(halves));
    w.write("b", std::span<const float>(values, 2));
    w.write("b", std::span<const float>(values + 2, 4));
    w.commit();
  }
};
using SafetensorsReader = SafetensorsTest;
using SafetensorsWriting = SafetensorsTest;
using SafetensorsFolder = SafetensorsTest;

TEST_F(SafetensorsReader, ReadsBackWhatTheWriterWrote) {
  write_two(path("t"));
  const SafetensorsFile f = SafetensorsFile::open(path("t"));
  ASSERT_EQ(f.tensors().size(), 2u);
  EXPECT_EQ(f.metadata().at("format"), "pt");
  const TensorView b = float_view(*f.find("b"), f.path());
  EXPECT_EQ(b.rows, 2);
  EXPECT_EQ(b.row<float>(1)[2], 6.f);
  EXPECT_EQ(to_float(float_view(*f.find("a"), f.path()).as<Bf16>()[1]), 8.f);
  f.release(*f.find("b"));
  EXPECT_EQ(b.row<float>(1)[2], 6.f);
  EXPECT_EQ(f.find("c"), nullptr);
}

TEST_F(SafetensorsReader, AcceptsScalarsZeroSizesAndNoTensors) {
  write("t", with_length(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                         R"("z":{"dtype":"F32","shape":[0,5],"data_offsets":[4,4]}})",
                         "1234"));
  const SafetensorsFile f = SafetensorsFile::open(path("t"));
  EXPECT_EQ(f.find("s")->count(), 1);
  EXPECT_EQ(f.find("z")->bytes, 0u);
  write("e", with_length("{}"));
  EXPECT_TRUE(SafetensorsFile::open(path("e")).tensors().empty());
}

TEST_F(SafetensorsReader, CopiesATensorThatItsFileMisaligns) {
  write("t", with_length(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                         R"("f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                         std::string("x") + std::string("\0\0\x80\x3f", 4)));
  const SafetensorsFile f = SafetensorsFile::open(path("t"));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(f.find("f")->data) % 4, 0u);
  EXPECT_EQ(*float_view(*f.find("f"), "t").as<float>(), 1.f);
  f.release(*f.find("f"));
}

TEST_F(SafetensorsReader, RefusesATruncatedLength) {
  expect_error([&] { SafetensorsFile::open(write("t", "abc")); }, ErrorKind::format,
               {"at least 8 bytes, this one 3"});
}

TEST_F(SafetensorsReader, RefusesAHeaderLongerThanTheFileAndNamesTheFile) {
  const std::string p = write("t", std::string("\xff\0\0\0\0\0\0\0{}", 10));
  expect_error([&] { SafetensorsFile::open(p); }, ErrorKind::format,
               {"needs 255 bytes, the file has 2 left", p});
}

TEST_F(SafetensorsReader, RefusesAHeaderOver100Megabytes) {
  const std::string p = write("t", std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10));
  expect_error([&] { SafetensorsFile::open(p); }, ErrorKind::format, {"100000001", "at most 100000000"});
}

TEST_F(SafetensorsReader, RefusesAHeaderThatIsNotAnObject) {
  refuse("[]", 0, {"does not start with '{'"});
  refuse("", 0, {"does not start with '{'"});
  refuse("{\"a\":1}", 0, {"does not describe tensors", "unexpected a number", "tensor 'a'"});
  refuse("{\"a\":", 0, {"not valid UTF-8 JSON", "column"});
  refuse("{\"\xff\":{}}", 0, {"not valid UTF-8 JSON"});
  refuse(std::string(100'000, '{'), 0, {"not valid UTF-8 JSON"});
}

TEST_F(SafetensorsReader, RefusesDuplicateKeys) {
  refuse(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
      2, {"occurs twice", "'a'"});
  refuse(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
         {"\"dtype\" occurs twice"});
  refuse(R"({"__metadata__":{"k":"1","k":"2"}})", 0, {"\"k\" occurs twice"});
}

TEST_F(SafetensorsReader, RefusesMissingUnknownAndIllTypedFields) {
  refuse(R"({"a":{"dtype":"U8","shape":[1]}})", 1, {"one is missing", "tensor 'a'"});
  refuse(R"({"a":{"dtype":"X9","shape":[1],"data_offsets":[0,1]}})", 1,
         {"unknown dtype \"X9\"", "tensor 'a'"});
  refuse(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, {"a negative number", "tensor 'a'"});
  refuse(R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}})", 1, {"1.5"});
  refuse(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, {"an array"});
  refuse(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, {"2 numbers, found 1"});
  refuse(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1, {"unexpected a number"});
  refuse(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, {"unknown field \"x\""});
  refuse(R"({"__metadata__":{"k":1}})", 0, {"unexpected a number"});
}

TEST_F(SafetensorsReader, RefusesShapesThatOverflow) {
  refuse(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})", 4,
         {"overflows", "tensor 'a'"});
  refuse(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4,
         {"18446744073709551615"});
  refuse(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, {"overflows"});
}

TEST_F(SafetensorsReader, RefusesRangesThatDoNotMatchTheShapeOrTheFile) {
  refuse(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
         {"needs 8 bytes, its data has 4", "tensor 'a'"});
  refuse(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", 4,
         {"not inside the file's 4 bytes", "tensor 'a'"});
  refuse(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[3,2]}})", 4, {"[3, 2)", "tensor 'a'"});
}

TEST_F(SafetensorsReader, RefusesOverlapsHolesAndUncoveredBytes) {
  const std::string a = R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  refuse("{" + a + R"(,"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3,
         {"starts at 1 inside", "tensor 'b'"});
  refuse("{" + a + R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})", 4,
         {"covers the bytes from 2", "tensor 'b'"});
  refuse("{" + a + "}", 5, {"describes 2 bytes of data, the file has 5"});
}

TEST_F(SafetensorsReader, RefusesAViewOfATypeOrRankThatIsNoFloatMatrix) {
  write("t", with_length(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"));
  const SafetensorsFile f = SafetensorsFile::open(path("t"));
  expect_error([&] { float_view(*f.find("a"), f.path()); }, ErrorKind::unsupported,
               {"[1] U8", "tensor 'a'", f.path()});
}

TEST_F(SafetensorsWriting, OrdersByTypeThenNameAndPadsTheHeader) {
  SafetensorsWriter w(
      path("t"),
      {{"a", SafetensorsType::u8, {1}}, {"c", SafetensorsType::f32, {}}, {"b", SafetensorsType::f32, {0}}});
  w.write("a", std::as_bytes(std::span("A", 1)));
  w.write("c", std::as_bytes(std::span("CCCC", 4)));
  w.commit();
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
      R"("c":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}})";
  const size_t padded = (header.size() + 7) / 8 * 8;
  ASSERT_NE(header.size(), padded);
  EXPECT_EQ(read(path("t")), with_length(header + std::string(padded - header.size(), ' '), "CCCCA"));
}

TEST_F(SafetensorsWriting, RefusesToCommitAnIncompleteTensor) {
  SafetensorsWriter w(path("t"), {{"a", SafetensorsType::u8, {4}}});
  w.write("a", std::as_bytes(std::span("abc", 3)));
  expect_error([&] { w.commit(); }, ErrorKind::internal, {"1 bytes of the tensor 'a'"});
  EXPECT_FALSE(std::filesystem::exists(path("t")));
}

TEST_F(SafetensorsFolder, ReadsShardsThatTheWriterSplit) {
  ShardedSafetensorsWriter w(
      folder_,
      {{"x", SafetensorsType::f32, {3}}, {"y", SafetensorsType::f32, {3}}, {"z", SafetensorsType::f32, {1}}},
      16);
  EXPECT_EQ(w.shards(), 2u);
  const float values[3] = {1, 2, 3};
  for (const char* name : {"y", "x"}) w.write(name, std::span<const float>(values));
  w.write("z", std::span<const float>(values, 1));
  w.commit();
  const SafetensorsSet set = SafetensorsSet::open_folder(folder_);
  EXPECT_EQ(set.tensors().size(), 3u);
  EXPECT_EQ(float_view(set.at("y"), set.path()).as<float>()[2], 3.f);
  EXPECT_EQ(set.file_of(set.at("z")), path("model-00002-of-00002.safetensors"));
  EXPECT_EQ(read(path("model.safetensors.index.json")).substr(0, 44),
            "{\n  \"metadata\": {\n    \"total_size\": 28\n  },\n");
  expect_error([&] { set.at("w"); }, ErrorKind::format, {"'w' is missing", folder_});
  EXPECT_TRUE(set.unchanged());
}

TEST_F(SafetensorsFolder, WritesOneFileWithoutIndexWhenItFits) {
  ShardedSafetensorsWriter w(folder_, {{"x", SafetensorsType::u8, {1}}});
  w.write("x", std::as_bytes(std::span("x", 1)));
  w.commit();
  EXPECT_EQ(entries(), 1u);
  EXPECT_EQ(SafetensorsSet::open_folder(folder_).tensors().size(), 1u);
}

TEST_F(SafetensorsFolder, NamesWhatIsWrongWithAnIndex) {
  write_two(path("s1"));
  write_two(path("s2"));
  const auto refuse_index = [&](const std::string& json, std::initializer_list<std::string> parts) {
    write("model.safetensors.index.json", json);
    expect_error([&] { SafetensorsSet::open_folder(folder_); }, ErrorKind::format, parts);
  };
  refuse_index(R"({"weight_map":{"a":"s1","b":"none"}})", {"the shard 'none' is missing"});
  refuse_index(R"({"weight_map":{"c":"s1"}})", {"'c' is not in the shard 's1'"});
  refuse_index(R"({"weight_map":{"a":"s1","b":"s2"}})", {"'a' is in two shards"});
  refuse_index(R"({"weight_map":{"a":"../s1"}})", {"'../s1' leaves the model's folder"});
  refuse_index(R"({"weight_map":{"a":"/etc/passwd"}})", {"leaves the model's folder"});
  refuse_index(R"({"weight_map":{"a":7}})", {"a string is needed", "\"a\""});
  refuse_index(R"({"weight_map":[]})", {"\"weight_map\" (an object) is missing"});
  refuse_index(R"([])", {"weight_map"});
}

TEST_F(SafetensorsFolder, SaysWhatIsMissingInAFolderWithoutWeights) {
  expect_error([&] { SafetensorsSet::open_folder(folder_); }, ErrorKind::usage,
               {"no model.safetensors", folder_});
  expect_error([&] { SafetensorsSet::open_folder(path("none")); }, ErrorKind::usage, {"does not exist"});
}

}  // namespace
}  // namespace lorikeet
