#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/text_format.h"

namespace lorikeet::cli {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);

std::string rate(double value) {
  std::string text = fmt::format("{:.2e}", value);
  // 1.71e-04 -> 1.71e-4
  const size_t e = text.find('e');
  if (e != std::string::npos && e + 2 < text.size() && text[e + 2] == '0') text.erase(e + 2, 1);
  return text;
}

std::string speed(const StepReport& r) { return with_commas(std::llround(r.tokens_per_second)) + " tok/s"; }

bool speaks_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (!value || !*value) continue;
    const std::string_view text(value);
    return text.find("UTF-8") != std::string_view::npos || text.find("utf8") != std::string_view::npos;
  }
  return false;
}

std::string eval_line(const EvalReport& r) {
  return fmt::format("eval at step {}  loss {}  perplexity {:.4g}  token accuracy {:.1f} %  {} rows in {}",
                     r.step, as_loss(r.loss), r.perplexity, 100 * r.token_accuracy, with_commas(r.examples),
                     as_duration(r.seconds));
}

}  // namespace

std::string progress_line(const StepReport& r) {
  return fmt::format("step {}/{}  loss {}  grad {:.3g}  lr {}  {}  {}  {} left", r.step, r.total_steps,
                     as_loss(r.loss), r.grad_norm, rate(r.learning_rate), speed(r),
                     in_gib(static_cast<uint64_t>(r.peak_bytes)), as_clock(r.seconds_left));
}

std::string progress_bar(const StepReport& r, int width, bool unicode) {
  const double share =
      r.total_steps > 0
          ? std::clamp(static_cast<double>(r.step) / static_cast<double>(r.total_steps), 0.0, 1.0)
          : 0;
  const std::string head = fmt::format(" step {}/{} ", r.step, r.total_steps);
  // What is dropped first when columns are few stands last.
  const std::vector<std::string> parts{as_percent(share),
                                       "loss " + as_loss(r.loss),
                                       speed(r),
                                       as_clock(r.seconds_left) + " left",
                                       in_gib(static_cast<uint64_t>(r.peak_bytes)),
                                       fmt::format("grad {:.3g}", r.grad_norm),
                                       "lr " + rate(r.learning_rate)};
  constexpr int kLeastBar = 8;
  std::string tail;
  for (const std::string& part : parts) {
    if (columns_of(head) + columns_of(tail) + 3 + columns_of(part) + kLeastBar > width) break;
    tail += "   " + part;
  }
  const int columns = std::max(0, std::min(40, width - columns_of(head) - columns_of(tail)));
  const int full = static_cast<int>(share * columns);
  std::string bar;
  for (int i = 0; i < columns; ++i) bar += unicode ? (i < full ? "━" : "─") : (i < full ? "#" : "-");
  return head + bar + tail;
}

Progress::Progress(bool quiet) : quiet_(quiet), bar_(is_terminal(STDERR_FILENO)) {}

Progress::~Progress() { finish(); }

void Progress::step(const StepReport& report) {
  if (quiet_ || !bar_) return;
  const auto now = std::chrono::steady_clock::now();
  if (drawn_ && now - last_ < kRedraw && report.step < report.total_steps) return;
  last_ = now;
  drawn_ = true;
  const int width = terminal_width(STDERR_FILENO) - 1;  // a full line would wrap
  note("\r\x1b[K" + progress_bar(report, width, speaks_unicode()));
}

void Progress::logged(const StepReport& report) {
  if (quiet_) return;
  if (bar_) {
    step(report);
  } else {
    note(progress_line(report) + "\n");
  }
}

void Progress::line(const std::string& text) {
  if (quiet_) return;
  note((drawn_ ? "\r\x1b[K" : "") + printable(text) + "\n");
  drawn_ = false;
}

void Progress::finish() {
  if (drawn_) note("\n");
  drawn_ = false;
}

TrainerEvents events_for(Progress& progress) {
  TrainerEvents events;
  events.step = [&](const StepReport& report) { progress.step(report); };
  events.logged = [&](const StepReport& report) { progress.logged(report); };
  events.evaluated = [&](const EvalReport& report) { progress.line(eval_line(report)); };
  events.saved = [&](const std::string& folder) { progress.line("saved " + folder); };
  events.notice = [&](const std::string& text) { progress.line(text); };
  return events;
}

}  // namespace lorikeet::cli
