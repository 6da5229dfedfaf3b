// lorikeet finetune: shows what a run will do, runs it, shows what came of it.
#include <unistd.h>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run_text.h"
#include "cli/terminal.h"
#include "cli/text_format.h"
#include "core/error.h"
#include "lorikeet/trainer.h"

namespace lorikeet::cli {

int run_finetune(const std::vector<std::string>& arguments) {
  CommandLine line("finetune", "finetune --model M --data F --output DIR [options]",
                   "Trains an adapter (lora, qlora) or every weight (full) and writes it with run.yaml, from "
                   "which the same run "
                   "can be started again.");
  RunConfig config;
  line.options.add_run_keys(config);
  if (!line.read(arguments, &config)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.model, "--model", "finetune");
  require(config.data, "--data", "finetune");
  require(config.output, "--output", "finetune");

  catch_interrupts("\nstopping after this step; once more to stop at once\n");
  Trainer trainer(config);
  if (!line.common.quiet)
    note(facts_text(trainer.facts(), trainer.config(), has_colour(STDERR_FILENO),
                    terminal_width(STDERR_FILENO)));

  Progress progress(line.common.quiet);
  const RunResult result = trainer.run(events_for(progress), &interrupt_flag());
  progress.finish();

  if (!line.common.quiet || result.outcome == RunOutcome::interrupted)
    note((result.outcome == RunOutcome::completed ? "\n" : "") +
         result_text(result, trainer.facts(), trainer.config()));
  if (line.common.json) out().json(result_json(result, trainer.facts(), trainer.config()));
  return result.outcome == RunOutcome::interrupted ? static_cast<int>(ErrorKind::interrupted) : 0;
}

}  // namespace lorikeet::cli
