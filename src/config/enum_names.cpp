// The words of every enum of the configuration, and which of them are built.
#include "config/key.h"
#include "core/error.h"
#include "lorikeet/config.h"

namespace lorikeet {
namespace {

template <class E>
constexpr Choice word(std::string_view name, E value, bool built = true, bool alias = false) {
  return {name, static_cast<int>(value), built, alias};
}

constexpr Choice kMethod[] = {word("lora", Method::lora), word("qlora", Method::qlora),
                              word("full", Method::full)};
constexpr Choice kBaseFormat[] = {word("auto", BaseFormat::automatic), word("dense", BaseFormat::dense),
                                  word("bnb_4bit", BaseFormat::bnb_4bit), word("keep", BaseFormat::keep)};
constexpr Choice kQuantType[] = {word("nf4", QuantType::nf4), word("fp4", QuantType::fp4)};
constexpr Choice kComputeDtype[] = {
    word("auto", ComputeDtype::automatic), word("float32", ComputeDtype::float32),
    word("bfloat16", ComputeDtype::bfloat16), word("fp32", ComputeDtype::float32, true, true),
    word("bf16", ComputeDtype::bfloat16, true, true)};
constexpr Choice kLoraInit[] = {word("default", LoraInit::standard),
                                word("gaussian", LoraInit::gaussian),
                                word("pissa", LoraInit::pissa),
                                word("olora", LoraInit::olora),
                                word("loftq", LoraInit::loftq),
                                word("orthogonal", LoraInit::orthogonal),
                                word("true", LoraInit::standard, true, true)};
constexpr Choice kDataFormat[] = {word("auto", DataFormat::automatic),
                                  word("messages", DataFormat::messages),
                                  word("prompt_completion", DataFormat::prompt_completion),
                                  word("text", DataFormat::text),
                                  word("alpaca", DataFormat::alpaca),
                                  word("sharegpt", DataFormat::sharegpt),
                                  word("tokenized", DataFormat::tokenized)};
constexpr Choice kLrScheduler[] = {word("constant", LrScheduler::constant),
                                   word("constant_with_warmup", LrScheduler::constant_with_warmup),
                                   word("linear", LrScheduler::linear), word("cosine", LrScheduler::cosine)};
constexpr Choice kOptim[] = {word("adamw", Optim::adamw),
                             word("adamw_torch", Optim::adamw, true, true),
                             word("adamw_8bit", Optim::adamw_8bit),
                             word("paged_adamw_32bit", Optim::paged_adamw_32bit),
                             word("paged_adamw_8bit", Optim::paged_adamw_8bit),
                             word("sgd", Optim::sgd)};
constexpr Choice kGradientCheckpointing[] = {word("auto", GradientCheckpointing::automatic),
                                             word("true", GradientCheckpointing::on),
                                             word("false", GradientCheckpointing::off)};
constexpr Choice kReportTo[] = {word("tensorboard", ReportTo::tensorboard), word("none", ReportTo::none)};

}  // namespace

namespace detail {

std::string choice_name(std::span<const Choice> choices, int value) {
  for (const Choice& choice : choices)
    if (choice.value == value && !choice.alias) return std::string(choice.name);
  throw Error(ErrorKind::usage, fmt::format("value {} of an enum has no name", value));
}

int choice_value(std::span<const Choice> choices, std::string_view name) {
  for (const Choice& choice : choices)
    if (choice.name == name) return choice.value;
  throw Error(ErrorKind::internal, fmt::format("unchecked choice \"{}\"", name));
}

}  // namespace detail

template <>
std::span<const Choice> choices_of<Method>() {
  return kMethod;
}
template <>
std::span<const Choice> choices_of<BaseFormat>() {
  return kBaseFormat;
}
template <>
std::span<const Choice> choices_of<QuantType>() {
  return kQuantType;
}
template <>
std::span<const Choice> choices_of<ComputeDtype>() {
  return kComputeDtype;
}
template <>
std::span<const Choice> choices_of<LoraInit>() {
  return kLoraInit;
}
template <>
std::span<const Choice> choices_of<DataFormat>() {
  return kDataFormat;
}
template <>
std::span<const Choice> choices_of<LrScheduler>() {
  return kLrScheduler;
}
template <>
std::span<const Choice> choices_of<Optim>() {
  return kOptim;
}
template <>
std::span<const Choice> choices_of<GradientCheckpointing>() {
  return kGradientCheckpointing;
}
template <>
std::span<const Choice> choices_of<ReportTo>() {
  return kReportTo;
}

namespace {
template <class E>
std::string_view enum_name(E value) {
  for (const Choice& choice : choices_of<E>())
    if (choice.value == static_cast<int>(value) && !choice.alias) return choice.name;
  return "?";
}
}  // namespace

std::string_view name_of(Method value) { return enum_name(value); }
std::string_view name_of(BaseFormat value) { return enum_name(value); }
std::string_view name_of(QuantType value) { return enum_name(value); }
std::string_view name_of(ComputeDtype value) { return enum_name(value); }
std::string_view name_of(LoraInit value) { return enum_name(value); }
std::string_view name_of(DataFormat value) { return enum_name(value); }
std::string_view name_of(LrScheduler value) { return enum_name(value); }
std::string_view name_of(Optim value) { return enum_name(value); }
std::string_view name_of(GradientCheckpointing value) { return enum_name(value); }
std::string_view name_of(ReportTo value) { return enum_name(value); }

}  // namespace lorikeet
