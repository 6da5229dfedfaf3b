#include "io/gguf.h"

#include <cstring>

#include "io/gguf_writer.h"
#include "temp_folder.h"

namespace lorikeet {
namespace {

using testing::expect_error;

// A GGUF file built byte by byte, so that every field can be wrong.
struct Raw {
  std::string s;
  template <class T>
  Raw& put(T v) {
    s.append(reinterpret_cast<const char*>(&v), sizeof v);
    return *this;
  }
  Raw& str(const std::string& t) { return put<uint64_t>(t.size()), s += t, *this; }
  static Raw header(uint64_t tensors, uint64_t pairs, uint32_t version = 3) {
    Raw r;
    r.s = "GGUF";
    return r.put(version).put(tensors).put(pairs);
  }
  Raw& tensor(const std::string& name, std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset) {
    str(name).put<uint32_t>(static_cast<uint32_t>(dims.size()));
    for (const uint64_t d : dims) put(d);
    return put(type).put(offset);
  }
  Raw& data(size_t bytes) { return s.resize((s.size() + 31) / 32 * 32 + bytes), *this; }
};

class GgufTest : public testing::TempFolder {
 protected:
  void refuse(const Raw& raw, std::initializer_list<std::string> parts, ErrorKind kind = ErrorKind::format) {
    const std::string p = write("t.gguf", raw.s);
    expect_error([&] { GgufFile::open(p); }, kind, parts);
    expect_error([&] { GgufFile::open(p); }, kind, {p});
  }
};
using GgufReading = GgufTest;

TEST_F(GgufReading, ReadsBackWhatTheWriterWrote) {
  GgufWriter w(path("t"), 64);
  w.add_string("general.architecture", "llama");
  w.add_uint32("u", 7);
  w.add_int32("i", -7);
  w.add_uint64("big", uint64_t{1} << 40);
  w.add_float32("f", 0.5f);
  w.add_bool("b", true);
  w.add_strings("words", std::vector<std::string>{"", "a", "é"});
  w.add_float32s("scores", std::vector<float>{1, 2});
  w.add_int32s("types", std::vector<int32_t>{3, -4, 5});
  w.add_tensor("x", GgufType::f32, {2, 3});
  w.add_tensor("q", GgufType::q8_0, {1, 32});
  w.begin();
  const float values[6] = {1, 2, 3, 4, 5, 6};
  w.write("q", std::span<const char>(std::string(34, 'q')));
  w.write("x", std::span<const float>(values, 4));
  w.write("x", std::span<const float>(values + 4, 2));
  w.commit();

  const GgufFile f = GgufFile::open(path("t"));
  EXPECT_EQ(f.version(), 3u);
  EXPECT_EQ(f.string("general.architecture"), "llama");
  EXPECT_EQ(f.integer("u"), 7);
  EXPECT_EQ(f.integer("i"), -7);
  EXPECT_EQ(f.integer("big"), int64_t{1} << 40);
  EXPECT_EQ(f.number("f"), 0.5);
  EXPECT_EQ(f.number("u"), 7);
  EXPECT_TRUE(f.boolean("b"));
  EXPECT_EQ(f.strings("words")[2], "é");
  EXPECT_EQ(f.numbers("scores"), (std::vector<double>{1, 2}));
  EXPECT_EQ(f.integers("types"), (std::vector<int64_t>{3, -4, 5}));
  EXPECT_EQ(f.type_of("words"), "array of string");
  EXPECT_EQ(f.integer_or("none", 9), 9);
  const GgufTensor& x = f.at("x");
  EXPECT_EQ(x.shape, (std::vector<int64_t>{2, 3}));
  float last;
  std::memcpy(&last, x.data + 20, 4);
  EXPECT_EQ(last, 6.f);
  EXPECT_EQ(f.at("q").bytes, 34u);
  EXPECT_EQ((f.at("q").data - f.file().data()) % 64, 0);
  EXPECT_EQ(f.find("none"), nullptr);
}

TEST_F(GgufReading, RefusesAValueOfAnotherTypeAndNamesTheKey) {
  Raw r = Raw::header(0, 2).str("k").put<uint32_t>(8).str("text").str("n").put<uint32_t>(10).put<uint64_t>(
      UINT64_MAX);
  const GgufFile f = GgufFile::open(write("t", r.s));
  expect_error([&] { f.integer("k"); }, ErrorKind::format,
               {"an integer is needed, found string", "key 'k'", path("t")});
  expect_error([&] { f.number("k"); }, ErrorKind::format, {"a number is needed"});
  expect_error([&] { f.strings("k"); }, ErrorKind::format, {"an array is needed"});
  expect_error([&] { f.integer("n"); }, ErrorKind::format, {"an integer is needed"});
  expect_error([&] { f.string("none"); }, ErrorKind::format, {"the key 'none' is missing"});
}

TEST_F(GgufReading, ReadsVersion1With32BitCounts) {
  Raw r;
  r.s = "GGUF";
  r.put<uint32_t>(1).put<uint32_t>(0).put<uint32_t>(1).put<uint32_t>(1).s += "k";
  r.put<uint32_t>(8).put<uint32_t>(2).s += "hi";
  EXPECT_EQ(GgufFile::open(write("t", r.s)).string("k"), "hi");
}

TEST_F(GgufReading, RefusesAnotherMagicVersionOrByteOrder) {
  refuse({"GGML\3\0\0\0"}, {"not a GGUF file"});
  refuse({"GG"}, {"not a GGUF file"});
  refuse(Raw::header(0, 0, 4), {"version 4"}, ErrorKind::unsupported);
  refuse(Raw::header(0, 0, 3u << 24), {"big-endian"}, ErrorKind::unsupported);
}

TEST_F(GgufReading, RefusesCountsThatCannotFitBeforeAllocating) {
  refuse(Raw::header(0, uint64_t{1} << 60), {"keys cannot be in a file"});
  refuse(Raw::header(uint64_t{1} << 60, 0), {"tensors cannot be in a file"});
  refuse(Raw::header(0, 1).put<uint64_t>(uint64_t{1} << 62).data(64),
         {"a key needs 4611686018427387904 bytes"});
  refuse(Raw::header(0, 1).str("k").put<uint32_t>(8).put<uint64_t>(UINT64_MAX),
         {"a string needs", "key 'k'"});
  refuse(Raw::header(0, 1).str("k").put<uint32_t>(9).put<uint32_t>(4).put<uint64_t>(uint64_t{1} << 62),
         {"does not fit", "key 'k'"});
  refuse(Raw::header(0, 1).str("k").put<uint32_t>(9).put<uint32_t>(8).put<uint64_t>(UINT64_MAX), {"key 'k'"});
}

TEST_F(GgufReading, RefusesBadValuesAndKeys) {
  refuse(Raw::header(0, 1).str("k").put<uint32_t>(99).put<uint64_t>(0), {"unknown value type 99"});
  refuse(Raw::header(0, 1).str("k").put<uint32_t>(7).put<uint8_t>(2), {"a boolean is 0 or 1, found 2"});
  refuse(Raw::header(0, 1).str("k").put<uint32_t>(8).str("\xff"), {"not valid UTF-8", "key 'k'"});
  refuse(
      Raw::header(0, 2).str("k").put<uint32_t>(0).put<uint8_t>(0).str("k").put<uint32_t>(0).put<uint8_t>(0),
      {"occurs twice"});
  Raw deep = Raw::header(0, 1).str("k").put<uint32_t>(9);
  for (int i = 0; i < 20; ++i) deep.put<uint32_t>(9).put<uint64_t>(1);
  refuse(deep, {"nested deeper"});
  Raw misaligned = Raw::header(1, 1).str("general.alignment").put<uint32_t>(4).put<uint32_t>(12);
  refuse(misaligned.tensor("x", {1}, 0, 0).data(64), {"general.alignment is 12"});
}

TEST_F(GgufReading, RefusesTensorsThatDoNotFit) {
  refuse(Raw::header(1, 0).tensor("x", {4}, 0, 0).data(15), {"16 bytes at offset 0", "tensor 'x'"});
  refuse(Raw::header(1, 0).tensor("x", {4}, 0, 7).data(64), {"offset 7 is no multiple", "tensor 'x'"});
  refuse(Raw::header(1, 0).tensor("x", {4}, 0, UINT64_MAX - 31).data(64), {"not inside", "tensor 'x'"});
  refuse(Raw::header(1, 0).tensor("x", {uint64_t{1} << 62, 4}, 0, 0).data(64), {"overflows", "tensor 'x'"});
  refuse(Raw::header(1, 0).tensor("x", {1, 1, 1, 1, 1}, 0, 0).data(64), {"5 dimensions"});
  refuse(Raw::header(1, 0).tensor("x", {33}, 8, 0).data(64), {"33 elements", "Q8_0"});
  refuse(Raw::header(1, 0).tensor(std::string(65, 'x'), {1}, 0, 0).data(64), {"65 bytes"});
  refuse(Raw::header(2, 0).tensor("x", {16}, 0, 0).tensor("y", {4}, 0, 32).data(96),
         {"overlaps 'x'", "tensor 'y'"});
  refuse(Raw::header(2, 0).tensor("x", {4}, 0, 0).tensor("x", {4}, 0, 32).data(96), {"occurs twice"});
  refuse(Raw::header(1, 0).str("x").put<uint32_t>(4).put<uint64_t>(1), {"a dimension needs 8 bytes"});
}

TEST_F(GgufReading, RefusesAnUnknownTypeOnlyWhenTheTensorIsAskedFor) {
  const GgufFile f = GgufFile::open(
      write("t", Raw::header(2, 0).tensor("x", {4}, 0, 0).tensor("y", {4}, 77, 32).data(64).s));
  EXPECT_EQ(f.at("x").bytes, 16u);
  expect_error([&] { f.at("y"); }, ErrorKind::unsupported, {"type 77", "tensor 'y'"});
}

}  // namespace
}  // namespace lorikeet
