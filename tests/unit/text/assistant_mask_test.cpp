#include "text/assistant_mask.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "fixtures.h"

namespace lorikeet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kChatml =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

Tokenizer tokenizer() { return fixtures::tokenizer("byte_level"); }

// The texts of the stretches of targets.
std::vector<std::string> targets(const Tokenizer& t, const MaskedConversation& c) {
  EXPECT_EQ(c.input_ids.size(), c.target.size());
  std::vector<std::string> out;
  std::vector<int32_t> run;
  for (size_t i = 0; i <= c.input_ids.size(); ++i) {
    if (i < c.input_ids.size() && c.target[i]) {
      run.push_back(c.input_ids[i]);
    } else if (!run.empty()) {
      out.push_back(t.decode(run, false));
      run.clear();
    }
  }
  return out;
}

ChatInput input_of(const Json& messages) {
  ChatInput input;
  input.messages = messages;
  return input;
}
std::vector<std::string> targets(const std::string& source, const Json& messages) {
  const Tokenizer t = tokenizer();
  return targets(t, tokenize_conversation(t, ChatTemplate(source), input_of(messages)));
}
std::vector<std::string> targets(const std::string& source, const char* messages) {
  return targets(source, Json::parse(messages));
}

std::string refusal(const std::string& source, const char* messages) {
  try {
    targets(source, messages);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(AssistantMask, HoldsTheContentAndTheEndOfTurnOfEachAssistantMessage) {
  for (const Json& messages : fixtures::json("conversations.json")) {
    std::vector<std::string> expected;
    for (const Json& m : messages) {
      if (m["role"] == "assistant") expected.push_back(m["content"].get<std::string>() + "<|im_end|>");
    }
    EXPECT_EQ(targets(kChatml, messages), expected);
  }
}

TEST(AssistantMask, OfAnUnmarkedTemplateEqualsThatOfTheMarkedOne) {
  const std::string marked = *built_in_chat_template("chatml");
  for (const Json& messages : fixtures::json("conversations.json")) {
    EXPECT_EQ(targets(kChatml, messages), targets(marked, messages));
  }
}

TEST(AssistantMask, TakesTheTokensOfTheWholeTextInOneGo) {
  const Tokenizer t = tokenizer();
  const ChatTemplate chat(kChatml);
  const ChatInput input = input_of(fixtures::json("conversations.json")[1]);
  EXPECT_EQ(tokenize_conversation(t, chat, input).input_ids,
            t.encode(chat.render(chat_variables(t, input)).text, false));
}

TEST(AssistantMask, IsEmptyWithoutAssistantMessages) {
  EXPECT_TRUE(targets(kChatml, R"([{"role": "user", "content": "x"}])").empty());
}

TEST(AssistantMask, FindsTheTurnsOfATemplateThatTrimsContent) {
  EXPECT_THAT(targets("{% for m in messages %}[{{ m.role }}]{{ m.content|trim }}<|im_end|>{% endfor %}"
                      "{% if add_generation_prompt %}[assistant]{% endif %}",
                      R"([{"role": "user", "content": " q "}, {"role": "assistant", "content": " a "}])"),
              ElementsAre("a<|im_end|>"));
}

TEST(AssistantMask, FindsTheTurnsOfATemplateWithoutGenerationPrompt) {
  EXPECT_THAT(targets("{% for m in messages %}[{{ m.role }}]{{ m.content }}<|im_end|>{% endfor %}",
                      R"([{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}])"),
              ElementsAre("x<|im_end|>"));
}

// Qwen3 writes an empty thinking block before the last answer only.
constexpr const char* kLastTurnDiffers =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if loop.last and m.role == 'assistant' %}{{ '<think></think>' }}{% endif %}{{ m.content + "
    "'<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

TEST(AssistantMask, FindsTheTurnsOfATemplateThatWritesTheLastOneDifferently) {
  EXPECT_THAT(
      targets(kLastTurnDiffers, R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"},
                                           {"role": "user", "content": "r"}, {"role": "assistant", "content": "b"}])"),
      ElementsAre("a<|im_end|>", "<think></think>b<|im_end|>"));
}

TEST(AssistantMask, IsRefusedNamingTheMessageWhereTheTemplateDropsContent) {
  const std::string drops =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
      "{{ m.content.split('</think>')[-1] + '<|im_end|>\\n' }}{% endfor %}";
  EXPECT_THAT(
      refusal(drops,
              R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>w</think>a"}])"),
      HasSubstr("message 2 (assistant)"));
  EXPECT_THAT(
      refusal("nothing", R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])"),
      HasSubstr("message 2 (assistant)"));
}

TEST(AssistantMask, IsRefusedWhereNothingClosesTheTurn) {
  EXPECT_THAT(refusal("{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}",
                      R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])"),
              HasSubstr("would not learn to stop"));
}

TEST(AssistantMask, RefusesAnEndOfTurnThatIsNoTokenOfItsOwn) {
  const char* messages = R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])";
  EXPECT_THAT(refusal("{% for m in messages %}{{ m.role + ': ' + m.content + '###\\n' }}{% endfor %}"
                      "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
                      messages),
              HasSubstr("ends what the assistant says with \"a###\""));
  EXPECT_THAT(refusal("{% for m in messages %}{{ m.role + ': ' }}{% generation %}{{ m.content + '###' }}"
                      "{% endgeneration %}{{ '\\n' }}{% endfor %}",
                      messages),
              HasSubstr("never stop"));
}

TEST(AssistantMask, FindsTheTokenThatEndsATurn) {
  const auto id_of = [](const char* source) {
    return end_of_turn_id(tokenizer(), ChatTemplate(source, "t"));
  };
  EXPECT_EQ(
      id_of("{% for m in messages %}<|im_start|>{{ m.role + '\n' + m.content }}<|im_end|>\n{% endfor %}"),
      tokenizer().token_to_id("<|im_end|>"));
  EXPECT_EQ(id_of("{% for m in messages %}{{ m.content }}{% endfor %}"), std::nullopt);
  EXPECT_EQ(
      id_of(
          "{% for m in messages %}<|im_start|>{{ m.role }}\n{% generation %}{{ m.content + '<|im_end|>\n' }}"
          "{% endgeneration %}{% endfor %}"),
      tokenizer().token_to_id("<|im_end|>"));
}

TEST(AssistantMask, PassesOnTheTemplatesOwnRefusal) {
  EXPECT_THAT(
      refusal("{{ raise_exception('no system role') }}", R"([{"role": "assistant", "content": "a"}])"),
      HasSubstr("no system role"));
}

TEST(AssistantMask, RefusesAMarkedTemplateThatMarksNothing) {
  EXPECT_THAT(
      refusal("{{ messages[0].content }}{% if false %}{% generation %}x{% endgeneration %}{% endif %}",
              R"([{"role": "assistant", "content": "a"}])"),
      HasSubstr("wrote nothing"));
}

TEST(AssistantMask, RefusesAMarkedTemplateThatLeavesOutTheEndOfTheTurn) {
  const std::string head = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}";
  const std::string tail = "{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}";
  const char* messages = R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])";
  EXPECT_THAT(refusal(head + "{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>" + tail, messages),
              HasSubstr("ends before <|im_end|>"));
  EXPECT_THAT(targets(head + "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}" + tail, messages),
              ElementsAre("a<|im_end|>"));
}

class BosTokenizer : public testing::Test {
 protected:
  // Encoding with special tokens puts <|im_start|> in front.
  static Tokenizer with_bos() {
    Json parts;
    for (const Json& v : fixtures::json("byte_level_goldens.json")) {
      if (v["name"] == "template") parts = v["parts"];
    }
    auto copy = fixtures::tokenizer_json("byte_level", parts).dump();
    GgufTokenizerSource s;
    s.huggingface_json = copy;
    s.bos_id = fixtures::tokenizer("byte_level").token_to_id("<|im_start|>");
    return Tokenizer::from_gguf(s);
  }
};

TEST_F(BosTokenizer, GetsOneBosWhereTheTemplateWritesNone) {
  const Tokenizer t = with_bos();
  const ChatTemplate chat("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}");
  const ChatInput input =
      input_of(Json::parse(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])"));
  const MaskedConversation c = tokenize_conversation(t, chat, input);
  EXPECT_EQ(c.input_ids[0], *t.bos_id());
  EXPECT_NE(c.input_ids[1], *t.bos_id());
  EXPECT_FALSE(c.target[0]);
  EXPECT_THAT(targets(t, c), ElementsAre("a<|im_end|>"));
  EXPECT_EQ(tokenize_prompt(t, chat, input)[0], *t.bos_id());
}

TEST_F(BosTokenizer, GetsNoSecondBosWhereTheTemplateWritesIt) {
  const Tokenizer t = with_bos();
  const ChatTemplate chat("{{ bos_token }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}");
  const ChatInput input =
      input_of(Json::parse(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])"));
  const MaskedConversation c = tokenize_conversation(t, chat, input);
  EXPECT_EQ(std::count(c.input_ids.begin(), c.input_ids.end(), *t.bos_id()), 1);
}

TEST(TokenizePrompt, EndsWithTheGenerationPrompt) {
  const Tokenizer t = tokenizer();
  const std::vector<int32_t> ids = tokenize_prompt(
      t, ChatTemplate(kChatml), input_of(Json::parse(R"([{"role": "user", "content": "q"}])")));
  EXPECT_EQ(t.decode(ids, false), "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n");
}

}  // namespace
}  // namespace lorikeet
