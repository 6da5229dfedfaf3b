#include "io/atomic_file.h"

#include <sys/resource.h>

#include "io/atomic_folder.h"
#include "io/folder.h"
#include "temp_folder.h"

namespace lorikeet {
namespace {

using testing::expect_error;
class AtomicFileTest : public testing::TempFolder {};
class AtomicFolderTest : public testing::TempFolder {};

TEST_F(AtomicFileTest, ReplacesTheOldContentAtCommitOnly) {
  write("a", "old");
  AtomicFile f(path("a"));
  f.append("new");
  EXPECT_EQ(read(path("a")), "old");
  f.commit();
  EXPECT_EQ(read(path("a")), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, LeavesNothingBehindWithoutCommit) {
  { AtomicFile(path("a")).append("new"); }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(AtomicFileTest, KeepsTheOrderOfSmallAndLargePieces) {
  const std::string large(700'000, 'L');
  AtomicFile f(path("a"));
  f.append("begin");
  f.append(large);
  f.append("end");
  f.commit();
  EXPECT_EQ(read(path("a")), "begin" + large + "end");
}

TEST_F(AtomicFileTest, WritesAtAnyPlace) {
  AtomicFile f(path("a"));
  f.append("....");
  f.write_at(2, std::as_bytes(std::span("xy", 2)));
  f.commit();
  EXPECT_EQ(read(path("a")), "..xy");
}

TEST_F(AtomicFileTest, NamesPathReasonAndBytesWhenTheDeviceIsFull) {
  expect_error([] { write_file_atomic("/dev/full", "hello"); }, ErrorKind::resource,
               {"/dev/full", "No space left on device", "5 bytes"});
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));  // not renamed over
}

TEST_F(AtomicFileTest, TurnsTheFileSizeLimitIntoAnErrorAndLeavesNothing) {
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit low = old;
  low.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &low);
  expect_error([&] { write_file_atomic(path("a"), std::string(5000, 'x')); }, ErrorKind::resource,
               {path("a"), "File too large", "5000 bytes", "ulimit"});
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(entries(), 0u);
}

TEST_F(AtomicFileTest, RefusesAFolderAndAMissingFolder) {
  expect_error([&] { AtomicFile(folder_ + ""); }, ErrorKind::usage, {"is a folder"});
  expect_error([&] { AtomicFile(path("none/a")); }, ErrorKind::usage, {"does not exist"});
}

TEST_F(AtomicFileTest, WritesThroughASymbolicLink) {
  write("real", "old");
  std::filesystem::create_symlink("real", path("link"));
  write_file_atomic(path("link"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  EXPECT_EQ(read(path("real")), "new");
}

TEST_F(AtomicFileTest, KeepsThePermissionsOfTheReplacedFile) {
  namespace fs = std::filesystem;
  fs::permissions(write("a", "old"), fs::perms::owner_read | fs::perms::owner_write);
  write_file_atomic(path("a"), "new");
  EXPECT_EQ(fs::status(path("a")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(AtomicFolderTest, AppearsAtCommitOnly) {
  AtomicFolder folder(path("deep/er/out"));
  write_file_atomic(folder.path() + "/a", "x");
  EXPECT_FALSE(std::filesystem::exists(path("deep/er/out")));
  folder.commit();
  EXPECT_EQ(read(path("deep/er/out/a")), "x");
}

TEST_F(AtomicFolderTest, LeavesNothingBehindWithoutCommit) {
  { write_file_atomic(AtomicFolder(path("out")).path() + "/a", "x"); }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(AtomicFolderTest, RefusesAFilledFolderUnlessItMayReplaceIt) {
  make_folders(path("out"));
  write("out/old", "x");
  expect_error([&] { AtomicFolder folder(path("out")); }, ErrorKind::usage, {"exists and is not empty"});
  AtomicFolder folder(path("out/"), AtomicFolder::IfExists::replace);
  write_file_atomic(folder.path() + "/new", "y");
  EXPECT_TRUE(std::filesystem::exists(path("out/old")));
  folder.commit();
  EXPECT_FALSE(std::filesystem::exists(path("out/old")));
  EXPECT_EQ(read(path("out/new")), "y");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFolderTest, RefusesAFileInTheWay) {
  write("out", "x");
  expect_error([&] { AtomicFolder folder(path("out")); }, ErrorKind::usage, {"is a file"});
  expect_error([&] { AtomicFolder folder(path("out/deeper")); }, ErrorKind::usage, {"a file is in the way"});
}

TEST(FolderNames, ParentHandlesBareNamesRootsAndTrailingSlashes) {
  EXPECT_EQ(parent_of("a"), ".");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(parent_of("/"), "/");
  EXPECT_EQ(parent_of("a/b/"), "a");
  EXPECT_EQ(parent_of("/a//b"), "/a");
}

}  // namespace
}  // namespace lorikeet
