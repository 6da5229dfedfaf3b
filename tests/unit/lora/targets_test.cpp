#include "lora/targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> paths() {
  std::vector<std::string> p;
  for (int i = 0; i < 12; ++i)
    for (const char* name : {"self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj"})
      p.push_back("model.layers." + std::to_string(i) + "." + name);
  return p;
}

std::vector<Target> select(TargetOptions o) { return select_targets(paths(), o); }
TargetOptions with(ModuleSelection s) {
  TargetOptions o;
  o.targets = std::move(s);
  return o;
}
std::string message_of(const TargetOptions& o) {
  try {
    select(o);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  return "no error";
}

TEST(SelectTargets, AllLinearTakesEveryPath) { EXPECT_EQ(select({}).size(), 36u); }

TEST(SelectTargets, AllLinearLeavesOutWhatStandsBesideAndNamesTakeIt) {
  const std::vector<std::string> beside = {"model.embed_tokens", "lm_head"};
  EXPECT_EQ(select_targets(paths(), {}, beside).size(), 36u);
  EXPECT_EQ(select_targets(paths(), with(std::vector<std::string>{"lm_head", "q_proj"}), beside).size(), 13u);
  EXPECT_EQ(select_targets(paths(), with(std::string(".*embed_tokens")), beside).front().path,
            "model.embed_tokens");
}

TEST(SelectTargets, AListEntryMatchesWholeSegmentsAtTheEnd) {
  EXPECT_EQ(select(with(std::vector<std::string>{"q_proj", "mlp.up_proj"})).size(), 24u);
  EXPECT_EQ(select(with(std::vector<std::string>{"model.layers.3.self_attn.v_proj"})).size(), 1u);
  EXPECT_THAT(message_of(with(std::vector<std::string>{"q_proj", "proj"})),
              HasSubstr("\"proj\" matches no linear layer"));
}

TEST(SelectTargets, AnExpressionMustMatchTheWholePath) {
  EXPECT_EQ(select(with(std::string(".*layers\\.(1|11)\\..*q_proj"))).size(), 2u);
  EXPECT_THAT(message_of(with(std::string("q_proj"))), HasSubstr("no module gets an adapter"));
  EXPECT_THAT(message_of(with(std::string("(q_proj"))), HasSubstr("no valid regular expression"));
}

TEST(SelectTargets, ARunawayExpressionEnds) {
  EXPECT_THAT(message_of(with(std::string("(([a-z._0-9]+)*)*x"))),
              ::testing::AnyOf(HasSubstr("takes too long"), HasSubstr("no module")));
}

TEST(SelectTargets, ExclusionWins) {
  TargetOptions o;
  o.exclude = std::vector<std::string>{"v_proj"};
  EXPECT_EQ(select(o).size(), 24u);
}

TEST(SelectTargets, LayersToTransformReadsTheFirstNumber) {
  TargetOptions o;
  o.layers_to_transform = {1, 10};
  EXPECT_EQ(select(o).size(), 6u);
}

TEST(SelectTargets, PatternsSetRankAndScale) {
  TargetOptions o = with(std::vector<std::string>{"q_proj"});
  o.r = 8;
  o.alpha = 16;
  o.rank_pattern = {{"layers.3.self_attn.q_proj", 4}};
  o.alpha_pattern = {{"model.layers.5.self_attn.q_proj", 32}};
  const auto t = select(o);
  EXPECT_EQ(t[0].r, 8);
  EXPECT_EQ(t[0].scale, 2);
  EXPECT_EQ(t[3].r, 4);
  EXPECT_EQ(t[3].scale, 4);
  EXPECT_EQ(t[5].scale, 4);
}

TEST(SelectTargets, OverlappingPatternsAreRefused) {
  TargetOptions o;
  o.rank_pattern = {{"q_proj", 4}, {"self_attn.q_proj", 8}};
  EXPECT_THAT(message_of(o), HasSubstr("both match"));
}

TEST(SelectTargets, RsloraDividesByTheRoot) {
  TargetOptions o;
  o.r = 16;
  o.alpha = 32;
  o.use_rslora = true;
  EXPECT_EQ(select(o)[0].scale, 8);
}

}  // namespace
}  // namespace lorikeet
