#include "io/mapped_file.h"

#include "temp_folder.h"

namespace lorikeet {
namespace {

using testing::expect_error;
class MappedFileTest : public testing::TempFolder {};

TEST_F(MappedFileTest, ShowsTheBytesOfTheFile) {
  const MappedFile f = MappedFile::open(write("a", "hello"));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(f.data()), f.size()), "hello");
}

TEST_F(MappedFileTest, RefusesAMissingFileAndNamesIt) {
  expect_error([&] { MappedFile::open(path("none")); }, ErrorKind::usage, {"none", "does not exist"});
}

TEST_F(MappedFileTest, RefusesAFolder) {
  expect_error([&] { MappedFile::open(folder_); }, ErrorKind::usage, {"is a folder"});
}

TEST_F(MappedFileTest, RefusesAnEmptyFile) {
  expect_error([&] { MappedFile::open(write("a", "")); }, ErrorKind::format, {"is empty"});
}

TEST_F(MappedFileTest, RefusesADevice) {
  expect_error([&] { MappedFile::open("/dev/null"); }, ErrorKind::usage, {"not a regular file"});
}

TEST_F(MappedFileTest, KeepsItsContentAfterPagesAreReleased) {
  const std::string content(100'000, 'x');
  const MappedFile f = MappedFile::open(write("a", content));
  f.release(0, f.size());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(f.data()), f.size()), content);
}

TEST_F(MappedFileTest, NoticesThatTheFileWasReplacedOrGrew) {
  const MappedFile f = MappedFile::open(write("a", "hello"));
  EXPECT_TRUE(f.unchanged());
  write("a", "hello, world");
  EXPECT_FALSE(f.unchanged());
  std::filesystem::remove(path("a"));
  EXPECT_FALSE(f.unchanged());
}

TEST_F(MappedFileTest, StaysMappedWhenMoved) {
  MappedFile a = MappedFile::open(write("a", "hello"));
  const MappedFile b = std::move(a);
  EXPECT_EQ(static_cast<char>(b.data()[4]), 'o');
}

}  // namespace
}  // namespace lorikeet
