#include "cli/error_text.h"

#include <new>

#include "cli/output.h"
#include "cli/terminal.h"
#include "core/error.h"

namespace lorikeet::cli {
namespace {

int report(const Error& error, const std::string& command) {
  note(error_text(error, command));
  return static_cast<int>(error.kind());
}

}  // namespace

std::string error_text(const Error& error, const std::string& command) {
  const std::string where = error.where().empty() ? command : error.where();
  std::string fix = error.fix();
  if (fix.empty())
    fix = error.kind() == ErrorKind::internal ? "this is a bug in lorikeet; please report it with the command"
                                              : fmt::format("see {} --help", command);
  return fmt::format("error: {}\n  where: {}\n  fix:   {}\n", printable(error.message()), printable(where),
                     printable(fix));
}

int run_and_report(const std::string& command, int (*action)(void*), void* context) {
  try {
    const int code = action(context);
    out().flush();
    return code;
  } catch (const ReaderGone&) {
    return static_cast<int>(ErrorKind::resource);
  } catch (const Error& error) {
    try {
      out().flush();  // rows that were done before the error are not lost
    } catch (...) {
      // The first error is the one to tell.
    }
    return report(error, command);
  } catch (const std::bad_alloc&) {
    return report(
        Error(ErrorKind::resource, "out of memory", command, "use a smaller batch, max_length or model"),
        command);
  } catch (const std::exception& error) {
    return report(Error(ErrorKind::internal, fmt::format("internal error: {}", error.what())), command);
  } catch (...) {
    return report(Error(ErrorKind::internal, "internal error of an unknown kind"), command);
  }
}

}  // namespace lorikeet::cli
