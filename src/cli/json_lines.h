#pragma once
#include <functional>
#include <string>

#include "io/json.h"

namespace lorikeet::cli {

/// Calls `row` with each line of a JSONL file and its place ("file, line 7"); empty lines are passed over.
/// Throws Error(usage) if the file does not exist, Error(format) for a line that is not JSON.
void for_each_json_line(const std::string& path,
                        const std::function<void(const Json&, const std::string& where)>& row);

}  // namespace lorikeet::cli
