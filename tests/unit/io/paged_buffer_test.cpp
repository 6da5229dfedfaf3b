#include "io/paged_buffer.h"

#include <fstream>

#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

using PagedBufferTest = TempFolder;

/// Kilobytes of the line `name` of /proc/self/status.
int64_t status_kib(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.rfind(name + ":", 0) == 0) return std::stoll(line.substr(name.size() + 1));
  return -1;
}

/// Resident kilobytes of the mapping that begins at `begin`, counted page by page.
int64_t resident_kib(const void* begin) {
  std::ifstream file("/proc/self/smaps");
  const std::string start = fmt::format("{:x}-", reinterpret_cast<uintptr_t>(begin));
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    inside = inside || line.rfind(start, 0) == 0;
    if (inside && line.rfind("Rss:", 0) == 0) return std::stoll(line.substr(4));
  }
  return -1;
}

constexpr size_t kBytes = size_t{32} << 20;

TEST_F(PagedBufferTest, StartsWithZerosAndKeepsWhatIsReleased) {
  const Buffer b = paged_buffer(kBytes, "test", folder_);
  for (size_t i = 0; i < kBytes; i += 4096) {
    ASSERT_EQ(b.data()[i], std::byte{0});
    b.data()[i] = static_cast<std::byte>(i >> 12);
  }
  b.release(0, kBytes);
  for (size_t i = 0; i < kBytes; i += 4096) ASSERT_EQ(b.data()[i], static_cast<std::byte>(i >> 12));
}

TEST_F(PagedBufferTest, IsNoPrivateMemoryAndLeavesItOnRelease) {
  const int64_t data = status_kib("VmData");
  const Buffer b = paged_buffer(kBytes, "test", folder_);
  for (size_t i = 0; i < kBytes; i += 4096) b.data()[i] = std::byte{1};
  EXPECT_LT(status_kib("VmData") - data, 1024);  // the heap may have grown a little
  EXPECT_EQ(resident_kib(b.data()), 32 * 1024);
  b.release(0, kBytes);
  EXPECT_EQ(resident_kib(b.data()), 0);
}

TEST_F(PagedBufferTest, LeavesNoFile) {
  const Buffer b = paged_buffer(kBytes, "test", folder_);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(PagedBufferTest, NamesTheFolderWhereTheDiskIsTooSmall) {
  expect_error([&] { paged_buffer(size_t{1} << 55, "optimizer state", folder_); }, ErrorKind::resource,
               {"36028797018963968 bytes for the optimizer state", folder_});
}

TEST_F(PagedBufferTest, NamesAFolderThatIsMissing) {
  expect_error([&] { paged_buffer(4096, "optimizer state", folder_ + "/none"); }, ErrorKind::resource,
               {"cannot create", "/none"});
}

}  // namespace
}  // namespace lorikeet::testing
