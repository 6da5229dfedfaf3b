// Fine-tunes a model on a few rows and asks it a question, through the library alone.
//   embed <model folder or .gguf> <data.jsonl> <output folder> <question>
#include <lorikeet/text_generator.h>
#include <lorikeet/trainer.h>

#include <cstdio>

int main(int argc, char** argv) try {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s MODEL DATA OUTPUT QUESTION\n", argv[0]);
    return 2;
  }
  lorikeet::RunConfig config;
  config.model = argv[1];
  config.data = {argv[2]};
  config.output = argv[3];
  config.max_steps = 4;
  config.logging_steps = 1;
  config.report_to = lorikeet::ReportTo::none;
  config.overwrite = true;

  lorikeet::TrainerEvents events;
  events.logged = [](const lorikeet::StepReport& r) {
    std::printf("step %lld  loss %.4f\n", static_cast<long long>(r.step), r.loss);
  };
  lorikeet::Trainer trainer(config);
  trainer.run(events);

  lorikeet::RunConfig use;
  use.adapter = argv[3];
  lorikeet::TextGenerator generator(use);
  lorikeet::GenerationSettings settings;
  settings.max_new_tokens = 16;
  std::printf("%s\n", generator.reply({{{"user", argv[4]}}}, settings).front().text.c_str());
  return 0;
} catch (const lorikeet::Error& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return static_cast<int>(e.kind());
}
