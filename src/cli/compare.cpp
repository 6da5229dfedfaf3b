// lorikeet compare: trains the same data with several methods and seeds, each run in a process of its own,
// and shows what each needed and reached.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "cli/child.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text_format.h"
#include "core/error.h"
#include "io/atomic_file.h"
#include "io/folder.h"
#include "train/comparison.h"

namespace lorikeet::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunFile = "comparison.json";

struct CompareOptions {
  std::vector<std::string> methods = {"full", "lora", "qlora"};
  std::vector<int64_t> seeds;
  std::optional<double> full_learning_rate;
  bool exact_match = true;
  int64_t max_new_tokens = 128;
  bool markdown = false;
};

std::span<const Key<CompareOptions>> table() {
  using O = CompareOptions;
  static const std::array rows{
      key<&O::methods>("methods", "comparison", "which of full, lora and qlora to train"),
      key<&O::seeds>("seeds", "comparison", "one run of each method for each; none: the key seed")
          .at_least(0),
      key<&O::full_learning_rate>("full_learning_rate", "comparison",
                                  "learning rate of method full, which wants a lower one")
          .range(0, 1e6)
          .shown_default("a tenth of learning_rate"),
      key<&O::exact_match>("exact_match", "comparison",
                           "complete the held-out rows too, where they hold turns or completions"),
      key<&O::max_new_tokens>("max_new_tokens", "comparison", "longest completion in tokens")
          .range(1, 1 << 24),
      key<&O::markdown>("markdown", "comparison", "print the table as Markdown"),
  };
  return rows;
}

/// A folder for the runs: the one that was asked for, or one that is removed at the end.
class Place {
 public:
  explicit Place(const std::string& asked) : folder_(asked), temporary_(asked.empty()) {
    if (!temporary_) return;
    std::string name = (fs::temp_directory_path() / "lorikeet-compare-XXXXXX").string();
    if (!mkdtemp(name.data()))
      throw Error(ErrorKind::resource, fmt::format("cannot create a folder: {}", errno_text(errno)), name,
                  "say --output");
    folder_ = name;
  }
  ~Place() {
    if (temporary_) remove_folder(folder_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  bool temporary_;
};

std::vector<Method> methods_of(const CompareOptions& own) {
  std::vector<Method> methods;
  for (const std::string& name : own.methods) {
    RunConfig c;
    set_key(c, "method", name, "--methods");
    if (std::find(methods.begin(), methods.end(), c.method) != methods.end())
      throw Error(ErrorKind::usage, fmt::format("method {} is given twice", name), "--methods",
                  "name each method once");
    methods.push_back(c.method);
  }
  if (methods.empty())
    throw Error(ErrorKind::usage, "no method is given", "--methods", "say --methods full,lora,qlora");
  return methods;
}

/// The keys of one run: those of the command, but what another method has no use for.
RunConfig config_of(const RunConfig& given, const CompareOptions& own, Method method, uint64_t seed,
                    const std::string& folder) {
  RunConfig c = given;
  c.method = method;
  c.seed = seed;
  c.output = fmt::format("{}/{}-seed{}", folder, name_of(method), seed);
  const bool dense = c.base_format == BaseFormat::dense;
  if (method == Method::qlora ? dense : !dense) c.base_format = BaseFormat::automatic;
  if (method != Method::full) c.bf16_stochastic_round = false;
  if (method == Method::full) c.learning_rate = own.full_learning_rate.value_or(c.learning_rate / 10);
  return c;
}

ComparedRun run_one(const RunConfig& config, const CompareOptions& own, bool quiet) {
  const std::string file = config.output + "/" + kRunFile;
  if (config.resume_from_checkpoint && fs::exists(file))
    return parse_compared_run(read_json_file(file), file);
  std::error_code ignored;
  if (config.overwrite) fs::remove(file, ignored);
  const Json result = in_child([&] {
    Progress progress(quiet);
    const TrainerEvents events = events_for(progress);
    const ComparedRun run =
        run_compared(config, own.exact_match ? own.max_new_tokens : 0, events, &interrupt_flag());
    progress.finish();
    return to_json(run);
  });
  ComparedRun run = parse_compared_run(result, "the answer of a run");
  if (run.refused.empty()) write_file_atomic(file, to_text(result, 2) + "\n");
  return run;
}

std::string with_spread(const Spread& s, size_t seeds, int digits) {
  std::string text = fmt::format("{:.{}f}", s.mean, digits);
  if (seeds > 1) text += fmt::format(" ± {:.{}f}", s.deviation, digits);
  return text;
}

std::vector<std::vector<std::string>> cells_of(std::span<const ComparedMethod> methods) {
  const auto gib = [](int64_t n) { return gib_number(static_cast<uint64_t>(n)); };
  std::vector<std::vector<std::string>> rows{{"method", "base", "trainable", "planned GiB", "peak GiB",
                                              "tokens/s", "result", "eval loss", "exact match"}};
  for (const ComparedMethod& m : methods) {
    const ComparedRun& r = m.first;
    std::vector<std::string> row{std::string(name_of(r.method)), r.base};
    if (!r.refused.empty())
      row.insert(row.end(), {"", gib(r.planned_bytes), "does not fit", "", "", "", ""});
    else
      row.insert(row.end(),
                 {in_millions(r.trainable), gib(r.planned_bytes), gib(m.peak_bytes),
                  with_commas(std::llround(m.tokens_per_second.mean)),
                  in_bytes(static_cast<uint64_t>(r.result_bytes)), with_spread(m.eval_loss, m.seeds, 4),
                  m.exact_match ? with_spread(*m.exact_match, m.seeds, 3) : "–"});
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string markdown_text(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const std::string& cell : rows[i]) text += "| " + cell + " ";
    text += "|\n";
    if (i > 0) continue;
    for (size_t k = 0; k < rows[i].size(); ++k) text += k < 2 ? "| --- " : "| ---: ";
    text += "|\n";
  }
  return text;
}

void print(std::span<const ComparedRun> runs, const CompareOptions& own, bool json) {
  const std::vector<ComparedMethod> methods = summarise(runs);
  const std::string advice = recommendation(methods);
  if (json) {
    Json list = Json::array();
    for (const ComparedRun& run : runs) list.push_back(to_json(run));
    out().json(Json{{"runs", list}, {"recommendation", advice}});
    return;
  }
  const auto rows = cells_of(methods);
  out().write(own.markdown ? markdown_text(rows) + "\n" : table_text(rows, "llrrrrrrr"));
  out().line(advice);
}

}  // namespace

int run_compare(const std::vector<std::string>& arguments) {
  CommandLine line("compare",
                   "compare --methods full,lora,qlora --model M --data F --eval-data F [the options of "
                   "finetune] [--json]",
                   "Trains and evaluates the same data with several methods and shows what each needed and "
                   "reached. Without --output the results are not kept.");
  RunConfig config;
  CompareOptions own;
  line.options.add(own, table());
  line.options.add_run_keys(config);
  line.options.show_default("output", "a folder that is removed at the end");
  if (!line.read(arguments, &config)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.model, "--model", "compare");
  require(config.data, "--data", "compare");
  if (config.eval_data.empty() && !config.eval_split)
    throw Error(ErrorKind::usage, "the methods are compared on held-out data, and none is given",
                "lorikeet compare", "add --eval-data, or --eval-split 0.1");
  const std::vector<Method> methods = methods_of(own);
  std::vector<int64_t> seeds = own.seeds;
  if (seeds.empty()) seeds.push_back(static_cast<int64_t>(config.seed));
  const Place place(config.output);
  for (const Method method : methods) validate(config_of(config, own, method, 0, place.folder()));

  catch_interrupts("\nstopping after this step; once more to stop at once\n");
  std::vector<ComparedRun> runs;
  try {
    for (const int64_t seed : seeds)
      for (const Method method : methods) {
        const RunConfig one = config_of(config, own, method, static_cast<uint64_t>(seed), place.folder());
        if (!line.common.quiet) note(fmt::format("{}, seed {}\n", name_of(method), seed));
        runs.push_back(run_one(one, own, line.common.quiet));
      }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::interrupted) throw;
    note(config.output.empty()
             ? "stopped\n"
             : "stopped; the same command with --resume-from-checkpoint auto goes on from here\n");
    return static_cast<int>(ErrorKind::interrupted);
  }
  print(runs, own, line.common.json);
  return 0;
}

}  // namespace lorikeet::cli
