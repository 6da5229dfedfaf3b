#include "core/error.h"

#include <cstring>

namespace lorikeet {

Error::Error(ErrorKind kind, std::string message, std::string where, std::string fix)
    : kind_(kind), message_(std::move(message)), where_(std::move(where)), fix_(std::move(fix)) {
  text_ = message_;
  if (!where_.empty()) text_ += "\n  where: " + where_;
  if (!fix_.empty()) text_ += "\n  fix:   " + fix_;
}

void throw_internal(const char* condition, const char* file, int line) {
  throw Error(ErrorKind::internal, fmt::format("internal check failed: {}", condition),
              fmt::format("{}:{}", file, line), "this is a bug in lorikeet, please report it");
}

std::string errno_text(int error_number) {
  char buffer[256];
  return strerror_r(error_number, buffer, sizeof buffer);
}

}  // namespace lorikeet
