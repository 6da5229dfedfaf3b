#pragma once
#include <exception>
#include <string>

namespace lorikeet {

/// What went wrong, in the classes that decide the process's exit code.
enum class ErrorKind : int {
  usage = 2,         ///< wrong command line or configuration
  format = 3,        ///< a file is malformed
  unsupported = 4,   ///< valid, but not something this program does
  resource = 5,      ///< memory, disk, permissions
  internal = 70,     ///< our bug
  interrupted = 130  ///< stopped by the user
};

/// The one exception of the library: what happened (with both values), where, and how to fix it.
/// `where` and `fix` may be empty; a command prints all three as "error:", "  where:", "  fix:".
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message, std::string where = {}, std::string fix = {});
  const char* what() const noexcept override { return text_.c_str(); }
  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& where() const { return where_; }
  const std::string& fix() const { return fix_; }

 private:
  ErrorKind kind_;
  std::string message_, where_, fix_, text_;
};

}  // namespace lorikeet
