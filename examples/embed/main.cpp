// Fine-tunes a model on a data file and asks it something, from a program:
//   embed MODEL DATA.jsonl OUTPUT_FOLDER
#include <cstdio>
#include <string>

#include "lorikeet/text_generator.h"
#include "lorikeet/trainer.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: embed MODEL DATA.jsonl OUTPUT_FOLDER\n");
    return 2;
  }
  try {
    lorikeet::RunConfig run;
    run.model = argv[1];
    run.data = {argv[2]};
    run.output = argv[3];
    run.method = lorikeet::Method::qlora;
    run.base_format = lorikeet::BaseFormat::bnb_4bit;
    run.max_steps = 5;
    run.logging_steps = 1;

    lorikeet::Trainer trainer(run);
    std::printf("%lld parameters learn, %lld bytes planned\n",
                static_cast<long long>(trainer.facts().trainable),
                static_cast<long long>(trainer.facts().memory.peak_bytes));
    lorikeet::TrainerEvents events;
    events.logged = [](const lorikeet::StepReport& report) {
      std::printf("step %lld: loss %.3f\n", static_cast<long long>(report.step), report.loss);
    };
    trainer.run(events);

    lorikeet::RunConfig use;
    use.adapter = argv[3];
    lorikeet::TextGenerator generator(use);
    lorikeet::GenerationSettings settings;
    settings.max_new_tokens = 40;
    const auto answers = generator.reply({{{"user", "Wake me at half past six."}}}, settings);
    std::printf("%s\n", answers[0].text.c_str());
  } catch (const lorikeet::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.kind());
  }
}
