#include "cli/child.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "cli/output.h"
#include "core/error.h"

namespace lorikeet::cli {
namespace {

/// {"result": ...} or {"error": ...}.
Json outcome_of(const std::function<Json()>& work) {
  const auto error = [](const Error& e) {
    return Json{{"error",
                 {{"kind", static_cast<int>(e.kind())},
                  {"message", e.message()},
                  {"where", e.where()},
                  {"fix", e.fix()}}}};
  };
  try {
    return Json{{"result", work()}};
  } catch (const Error& e) {
    return error(e);
  } catch (const std::bad_alloc&) {
    return error(Error(ErrorKind::resource, "out of memory", {}, "use a smaller batch, max_length or model"));
  } catch (const std::exception& e) {
    return error(Error(ErrorKind::internal, fmt::format("internal error: {}", e.what())));
  }
}

void write_all(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // the reader has gone; it sees that the answer is incomplete
    done += static_cast<size_t>(n);
  }
}

std::string read_all(int fd) {
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t n = read(fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(piece, static_cast<size_t>(n));
  }
}

}  // namespace

Json in_child(const std::function<Json()>& work) {
  int ends[2];
  if (pipe(ends) != 0)
    throw Error(ErrorKind::resource, fmt::format("cannot make a pipe: {}", errno_text(errno)));
  out().flush();  // or both processes would write it
  const pid_t parent = getpid(), child = fork();
  if (child < 0) {
    const int reason = errno;
    close(ends[0]);
    close(ends[1]);
    throw Error(ErrorKind::resource, fmt::format("cannot start a process: {}", errno_text(reason)));
  }
  if (child == 0) {
    close(ends[0]);
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // nobody waits for the answer of an orphan
    if (getppid() != parent) raise(SIGTERM);
    write_all(ends[1], to_text(outcome_of(work)));
    _exit(0);
  }
  close(ends[1]);
  const std::string answer = read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status))
    throw Error(ErrorKind::resource,
                fmt::format("the process of this run was ended by signal {} ({})", WTERMSIG(status),
                            strsignal(WTERMSIG(status))),
                {}, "if memory ran out: set memory_limit, or leave out the method that needs most");
  const Json json = parse_json(answer, "the answer of a run");
  if (json.contains("result")) return json["result"];
  const Json& e = json.at("error");
  throw Error(static_cast<ErrorKind>(e.at("kind").get<int>()), e.at("message").get<std::string>(),
              e.at("where").get<std::string>(), e.at("fix").get<std::string>());
}

}  // namespace lorikeet::cli
