#pragma once
#include <cstdint>
#include <vector>

#include "data/example.h"

namespace lorikeet {

/// Groups rows into sequences of at most `max_length` tokens, best-fit decreasing: longest rows first, each
/// into the fullest sequence that still has room. Each sequence lists row indices in ascending order;
/// sequences are ordered by their first row. Rows longer than max_length stand alone. Depends on the lengths
/// and their order only.
std::vector<std::vector<uint32_t>> pack_rows(const std::vector<Sample>& samples, int64_t max_length);

}  // namespace lorikeet
