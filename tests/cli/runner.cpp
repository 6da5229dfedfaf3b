// Runs one file of command-line cases: each runs shell lines in an empty folder and checks exit code, output
// and files.
//
//   case refuses an unknown option         a case, up to the next one
//   setup echo '{}' > a.jsonl              must succeed
//   run lorikeet tokenize --modle x        what is tested; exit 0 unless an exit line follows
//   exit 2
//   out= exact line                        some line of standard output is exactly this
//   out~ regular expression                ... matches this (a search, ECMAScript)
//   out! regular expression                no line matches
//   err= err~ err!                         the same for standard error
//   out-empty, err-empty                   nothing at all
//   file path, nofile path                 exists afterwards, or not
//   same a b                               two files with equal bytes
//   unsanitized                            skip the case in builds with sanitizers, which reserve terabytes
//
// A case may hold several runs; checks follow the run they look at. In every run that exits with 2, 3, 4 or
// 5, standard error must end with the three lines of an error. $FIXTURES, $SOURCE and $WORK (kept for all
// cases of the file) are set.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr unsigned kTimeoutSeconds = 120;

struct Line {
  int number;
  std::string word, rest;
};
struct Case {
  std::string name;
  std::vector<Line> lines;
};
struct Result {
  int exit_code = -1;
  std::string out, err;
};

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::stringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

Result run_shell(const std::string& command, const fs::path& folder, const fs::path& logs) {
  const fs::path out = logs / "stdout", err = logs / "stderr";
  const pid_t child = fork();
  if (child == 0) {
    const int in_fd = open("/dev/null", O_RDONLY);
    const int out_fd = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int err_fd = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (dup2(in_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0 || chdir(folder.c_str()) != 0)
      _exit(126);
    alarm(kTimeoutSeconds);  // survives exec; a shell or a command that hangs dies by SIGALRM
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  Result result;
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0) return result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_all(out);
  result.err = read_all(err);
  return result;
}

std::vector<Case> read_cases(const fs::path& path) {
  std::vector<Case> cases;
  std::ifstream file(path);
  int number = 0;
  for (std::string text; std::getline(file, text);) {
    ++number;
    if (text.empty() || text[0] == '#') continue;
    const size_t space = std::min(text.find(' '), text.size());
    const std::string word = text.substr(0, space);
    const std::string rest = space < text.size() ? text.substr(space + 1) : "";
    if (word == "case") {
      cases.push_back({rest, {}});
    } else if (!cases.empty()) {
      cases.back().lines.push_back({number, word, rest});
    }
  }
  return cases;
}

/// Empty if `err` ends with "error:", "  where:", "  fix:".
std::string error_shape(const std::string& err) {
  const auto lines = lines_of(err);
  const size_t n = lines.size();
  if (n < 3 || lines[n - 3].rfind("error: ", 0) != 0 || lines[n - 2].rfind("  where: ", 0) != 0 ||
      lines[n - 1].rfind("  fix:   ", 0) != 0)
    return "standard error does not end with the three lines of an error";
  return "";
}

bool any_line_matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  for (const std::string& line : lines_of(text))
    if (std::regex_search(line, regex)) return true;
  return false;
}

bool any_line_is(const std::string& text, const std::string& wanted) {
  for (const std::string& line : lines_of(text))
    if (line == wanted) return true;
  return false;
}

/// Empty if the check holds.
std::string check(const Line& line, const Result& result, const fs::path& folder) {
  const bool of_out = line.word.rfind("out", 0) == 0;
  const std::string& text = of_out ? result.out : result.err;
  const std::string kind = line.word.size() > 3 ? line.word.substr(3) : "";
  if (line.word == "file") return fs::exists(folder / line.rest) ? "" : "file is missing";
  if (line.word == "nofile") return fs::exists(folder / line.rest) ? "file exists" : "";
  if (line.word == "same") {
    const size_t space = line.rest.find(' ');
    const fs::path a = folder / line.rest.substr(0, space), b = folder / line.rest.substr(space + 1);
    if (!fs::is_regular_file(a) || !fs::is_regular_file(b)) return "not two files";
    return read_all(a) == read_all(b) ? "" : "the files differ";
  }
  if (kind == "=") return any_line_is(text, line.rest) ? "" : "no such line";
  if (kind == "~") return any_line_matches(text, line.rest) ? "" : "no line matches";
  if (kind == "!") return any_line_matches(text, line.rest) ? "a line matches" : "";
  if (kind == "-empty") return text.empty() ? "" : "not empty";
  return "unknown check \"" + line.word + "\"";
}

/// Runs a case; returns what went wrong.
std::string run_case(const Case& test, const fs::path& folder, const fs::path& logs) {
  Result result;
  std::string running;
  int wanted_exit = 0;
  const auto failed = [&](int number, const std::string& why) {
    return "line " + std::to_string(number) + ": " + why + "\n--- " + running + "\n--- exit " +
           std::to_string(result.exit_code) + "\n--- stdout\n" + result.out.substr(0, 4000) + "--- stderr\n" +
           result.err.substr(0, 4000);
  };
  for (size_t i = 0; i < test.lines.size(); ++i) {
    const Line& line = test.lines[i];
    if (line.word == "unsanitized") {
      const char* sanitizers = std::getenv("LORIKEET_SANITIZE");
      if (sanitizers && *sanitizers) return "";
      continue;
    }
    if (line.word == "setup" || line.word == "run") {
      running = line.rest;
      result = run_shell(line.rest, folder, logs);
      const bool exits = line.word == "run" && i + 1 < test.lines.size() && test.lines[i + 1].word == "exit";
      wanted_exit = exits ? std::stoi(test.lines[++i].rest) : 0;
      if (result.exit_code != wanted_exit)
        return failed(line.number, "exit code is not " + std::to_string(wanted_exit));
      if (wanted_exit >= 2 && wanted_exit <= 5)
        if (const std::string shape = error_shape(result.err); !shape.empty())
          return failed(line.number, shape);
      continue;
    }
    if (const std::string why = check(line, result, folder); !why.empty())
      return failed(line.number, line.word + " " + line.rest + ": " + why);
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: run_cli_tests FILE.test\n";
    return 2;
  }
  std::string pattern = (fs::temp_directory_path() / "lorikeet-cli-XXXXXX").string();
  if (!mkdtemp(pattern.data())) {
    std::perror("mkdtemp");
    return 1;
  }
  const fs::path root = pattern;
  fs::create_directories(root / "work");
  setenv("WORK", (root / "work").c_str(), 1);
  int failures = 0, count = 0;
  for (const Case& test : read_cases(argv[1])) {
    const fs::path folder = root / std::to_string(++count), logs = root / (std::to_string(count) + ".logs");
    fs::create_directories(folder);
    fs::create_directories(logs);
    const std::string why = run_case(test, folder, logs);
    std::cout << (why.empty() ? "ok    " : "FAIL  ") << test.name << "\n" << why << std::flush;
    failures += !why.empty();
  }
  std::error_code ignored;
  fs::remove_all(root, ignored);
  std::cout << count - failures << " of " << count << " cases passed\n";
  return failures == 0 && count > 0 ? 0 : 1;
}
