#pragma once
// Unicode normalization forms and lower-casing of valid UTF-8, in time n log n for any text.
#include <string>
#include <string_view>

namespace lorikeet::text {

std::string to_nfc(std::string_view s);
std::string to_nfd(std::string_view s);
std::string to_nfkc(std::string_view s);
std::string to_nfkd(std::string_view s);
/// As Rust's str::to_lowercase without the final-sigma rule, which looks at neighbouring words.
std::string lower_case(std::string_view s);

}  // namespace lorikeet::text
