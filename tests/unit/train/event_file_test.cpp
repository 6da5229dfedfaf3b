#include "train/event_file.h"

#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return text;
}

TEST(Crc32c, MatchesThePublishedCheckValue) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);  // RFC 3720, B.4
  EXPECT_EQ(crc32c("456789", crc32c("123")), crc32c("123456789"));
}

// The bytes below were written by the tensorboard package 2.21: its protobuf classes and its RecordWriter.
TEST(TensorBoardEvent, ScalarsEqualTensorBoardsBytes) {
  EXPECT_EQ(hex(scalar_event(1.5, 300, {{"train/loss", 0.25F}, {"lr", 2e-4F}})),
            "09000000000000f83f10ac022a1e0a110a0a747261696e2f6c6f7373150000803e0a090a026c721517b75139");
}

TEST(TensorBoardEvent, TheVersionEqualsTensorBoardsBytes) {
  EXPECT_EQ(hex(version_event(2.0)), "0900000000000000401a0d627261696e2e4576656e743a32");
}

TEST(TensorBoardRecord, EqualsTensorBoardsBytes) {
  EXPECT_EQ(hex(tf_record("hello")), "0500000000000000eab2043e68656c6c6fbb1f1c19");
}

class EventFileTest : public TempFolder {};

TEST_F(EventFileTest, GrowsByWholeRecordsUnderANameThatViewersFind) {
  EventFile file(path("runs"));
  EXPECT_NE(file.path().find("runs/events.out.tfevents."), std::string::npos);
  const size_t header = read(file.path()).size();
  EXPECT_EQ(header, tf_record(version_event(0)).size());
  file.scalars(1, {{"train/loss", 1.0F}});
  EXPECT_EQ(read(file.path()).size(), header + tf_record(scalar_event(0, 1, {{"train/loss", 1.0F}})).size());
  EventFile second(path("runs"));
  EXPECT_NE(second.path(), file.path());
}

}  // namespace
}  // namespace lorikeet::testing
