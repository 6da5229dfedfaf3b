#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "fixtures.h"

namespace lorikeet {
namespace {

using testing::HasSubstr;

constexpr int64_t kFixtureTime = 1721952000;  // 26 July 2024, as in make_text_fixtures.py

// Every golden: text and generation spans as Jinja2's, or an error where Jinja2 raises one.
TEST(ChatTemplateGoldens, TextAndErrorsEqualJinja2s) {
  RenderLimits limits;
  limits.now = kFixtureTime;
  for (const Json& c : fixtures::json("template_goldens.json")) {
    SCOPED_TRACE(c["template"].get<std::string>());
    std::string text;
    Json spans = Json::array();
    bool failed = false;
    try {
      const Rendered r = ChatTemplate(c["template"].get<std::string>()).render(c["variables"], limits);
      text = r.text;
      for (const TextSpan& s : r.generation_spans) spans.push_back({s.begin, s.end});
    } catch (const Error& e) {
      failed = true;
      text = e.what();
    }
    EXPECT_EQ(failed, c.contains("error")) << text;
    if (failed || c.contains("error")) continue;
    EXPECT_EQ(text, c["text"].get<std::string>());
    EXPECT_EQ(spans, c["spans"]);
  }
}

std::string render(const std::string& source, const Json& variables = Json::object(),
                   const RenderLimits& limits = {}) {
  return ChatTemplate(source, "t").render(variables, limits).text;
}

Error failure(const std::string& source, const Json& variables = Json::object(),
              const RenderLimits& limits = {}) {
  try {
    render(source, variables, limits);
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorKind::internal, "no error");
}

TEST(ChatTemplateErrors, CarryTheTemplatesOwnMessageAndLine) {
  const Error e = failure("a\nb\n{{ raise_exception('roles must alternate') }}");
  EXPECT_EQ(e.message(), "roles must alternate");
  EXPECT_EQ(e.where(), "t, line 3");
  EXPECT_EQ(e.kind(), ErrorKind::format);
}

TEST(ChatTemplateErrors, NameTheUndefinedVariable) {
  EXPECT_EQ(failure("{{ tools[0] }}").message(), "'tools' is undefined");
  EXPECT_EQ(failure("{{ m.x.y }}", Json::parse(R"({"m": {}})")).message(),
            "'dict object' has no attribute 'x'");
}

TEST(ChatTemplateErrors, SayThatAConstructIsUnsupported) {
  for (const char* source :
       {"{% include 'x' %}", "{% extends 'x' %}", "{% block x %}{% endblock %}", "{% import 'a' as b %}",
        "{% for x in y recursive %}{% endfor %}", "{{ f(*a) }}", "{{ 'x'.format(1) }}"}) {
    EXPECT_EQ(failure(source).kind(), ErrorKind::unsupported) << source;
  }
}

TEST(ChatTemplateErrors, RefuseVariablesThatAreNoObject) {
  EXPECT_EQ(failure("x", Json::array()).kind(), ErrorKind::format);
  EXPECT_EQ(failure("\xff").kind(), ErrorKind::format);
}

// None of these may hang (ctest's time limit ends it), exhaust memory or overflow the stack.
TEST(HostileChatTemplate, IsStoppedByALimit) {
  const std::string many(300, '(');
  const std::pair<const char*, std::string> hostile[] = {
      {"endless loops",
       "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% "
       "endfor %}{% endfor %}"},
      {"endless recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"},
      {"mutual recursion",
       "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}"},
      {"doubling text",
       "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor "
       "%}"},
      {"doubling lists",
       "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"},
      {"repeated text", "{{ 'x' * 999999999999 }}"},
      {"repeated list", "{{ [1] * 999999999999 }}"},
      {"repeated repeats", "{{ 'x' * 99999999 * 99999999 }}"},
      {"wide indent", "{{ [1]|tojson(indent=999999999999) }}"},
      {"wide text", "{{ 'x'.center(999999999999) }}"},
      {"shared lists printed",
       "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ "
       "ns.s }}"},
      {"shared lists compared",
       "{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% set "
       "ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}"},
      {"deep lists",
       "{% set ns = namespace(s=[1]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}"},
      {"deep dicts",
       "{% set ns = namespace(s={}) %}{% for i in range(9999) %}{% set ns.s = {'a': ns.s} %}{% endfor %}"},
      {"deep methods",
       "{% set ns = namespace(s=[1]) %}{% for i in range(9999) %}{% set ns.s = [ns.s.index] %}{% endfor %}"},
      {"a namespace in itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}"},
      {"brackets", "{{ " + many + "1" + std::string(300, ')') + " }}"},
      {"open brackets", "{{ " + std::string(100000, '[') + " }}"},
      {"many minus signs", "{{ " + std::string(100000, '-') + "1 }}"},
      {"long sums", "{{ 1" +
                        [] {
                          std::string s;
                          for (int i = 0; i < 5000; ++i) s += " + 1";
                          return s;
                        }() +
                        " }}"},
      {"nested ifs",
       [] {
         std::string s;
         for (int i = 0; i < 5000; ++i) s += "{% if 1 %}";
         return s;
       }()},
      {"much output", "{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}"},
      {"replacement",
       "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(30) %}{% set ns.s = "
       "ns.s|replace('a', 'aaaaaaaa') %}{% endfor %}"},
      {"joining", "{% set l = range(99999)|list %}{% set s = 'x' * 99999 %}{{ l|join(s) }}"},
  };
  for (const auto& [name, source] : hostile) {
    const Error e = failure(source);
    EXPECT_NE(e.kind(), ErrorKind::internal) << name;
  }
}

TEST(HostileChatTemplate, MayBuildLongChainsThatAreFreedWithoutRecursion) {
  EXPECT_EQ(render("{% set ns = namespace(p=none) %}{% for i in range(50000) %}{% set ns.p = "
                   "namespace(p=ns.p) %}{% endfor %}ok"),
            "ok");
  EXPECT_EQ(render("{% set ns = namespace(m=none) %}{% for i in range(50000) %}{% macro m() %}{% endmacro %}"
                   "{% set before = ns.m %}{% set ns.m = m %}{% endfor %}ok"),
            "ok");
}

TEST(HostileChatTemplate, CannotChangeTheCallersValues) {
  const Json variables = Json::parse(R"({"l": [1], "d": {"a": 1}})");
  for (const char* source :
       {"{{ l.append(2) }}", "{{ l.clear() }}", "{{ d.update({}) }}", "{{ d.pop('a') }}"}) {
    EXPECT_THAT(failure(source, variables).message(), HasSubstr("unsafe")) << source;
  }
}

TEST(HostileChatTemplate, CannotNameANamespaceMemberWithAnUnderscore) {
  EXPECT_THAT(failure("{{ namespace(_x=1) }}").message(), HasSubstr("underscore"));
  EXPECT_THAT(failure("{% set ns = namespace() %}{% set ns.__class__ = 1 %}").message(),
              HasSubstr("underscore"));
}

TEST(ChatTemplateLimits, CountStepsAndOutput) {
  RenderLimits limits;
  limits.steps = 50;
  EXPECT_EQ(failure("{% for i in range(40) %}{{ i }}{% endfor %}", Json::object(), limits).kind(),
            ErrorKind::resource);
  limits = {};
  limits.output_bytes = 10;
  EXPECT_EQ(failure("12345678901", Json::object(), limits).kind(), ErrorKind::resource);
}

TEST(GenerationBlockInAMacro, LeavesTheSpansUnknown) {
  const Rendered r =
      ChatTemplate("{% macro m() %}{% generation %}x{% endgeneration %}{% endmacro %}a{{ m() }}")
          .render(Json::object());
  EXPECT_EQ(r.text, "ax");
  EXPECT_FALSE(r.spans_known);
}

struct BuiltIn {
  const char* name;
  const char* text;
};
void PrintTo(const BuiltIn& b, std::ostream* out) { *out << b.name; }
class BuiltInTemplate : public testing::TestWithParam<BuiltIn> {};

TEST_P(BuiltInTemplate, WritesItsFormatWithAGenerationPrompt) {
  const Json variables =
      Json::parse(R"({"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true,
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"},
                 {"role": "assistant", "content": "A"}, {"role": "user", "content": "V"}]})");
  EXPECT_EQ(render(*built_in_chat_template(GetParam().name), variables), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    All, BuiltInTemplate,
    testing::Values(
        BuiltIn{"chatml",
                "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|"
                "im_end|>\n"
                "<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n"},
        BuiltIn{"llama3",
                "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_"
                "header_id|>\n\n"
                "U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|><|start_header_id|>assistant<|end_"
                "header_id|>\n\n"},
        BuiltIn{
            "alpaca",
            "S\n\n### Instruction:\nU\n\n### Response:\nA</s>\n\n### Instruction:\nV\n\n### Response:\n"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(BuiltInTemplates, AreListedAndUnknownOnesAreNothing) {
  EXPECT_THAT(built_in_chat_template_names(), testing::ElementsAre("alpaca", "chatml", "llama3"));
  EXPECT_FALSE(built_in_chat_template("vicuna"));
}

TEST(ChatVariables, HoldWhatTransformersPasses) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  ChatInput input;
  input.messages = Json::parse(R"([{"role": "assistant", "content": "a", "reasoning": "why"}])");
  input.extra = Json::parse(R"({"enable_thinking": false})");
  const Json v = chat_variables(t, input);
  EXPECT_TRUE(v["tools"].is_null());
  EXPECT_EQ(v["enable_thinking"], false);
  EXPECT_EQ(v["add_generation_prompt"], false);
  EXPECT_EQ(v["messages"][0]["reasoning_content"], "why");
  EXPECT_FALSE(v.contains("bos_token"));
}

}  // namespace
}  // namespace lorikeet
