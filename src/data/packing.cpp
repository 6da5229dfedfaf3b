#include "data/packing.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace lorikeet {

std::vector<std::vector<uint32_t>> pack_rows(const std::vector<Sample>& samples, int64_t max_length) {
  std::vector<uint32_t> order(samples.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto length = [&](uint32_t row) { return static_cast<int64_t>(samples[row].input_ids.size()); };
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return length(a) > length(b); });
  std::vector<std::vector<uint32_t>> sequences;
  std::set<std::pair<int64_t, uint32_t>>
      room;  // {tokens left, sequence}: the tightest fit is the first large enough
  for (const uint32_t row : order) {
    auto fit = room.lower_bound({length(row), 0});
    uint32_t sequence = 0;
    int64_t left = max_length;
    if (fit == room.end()) {
      sequence = static_cast<uint32_t>(sequences.size());
      sequences.emplace_back();
    } else {
      left = fit->first;
      sequence = fit->second;
      room.erase(fit);
    }
    sequences[sequence].push_back(row);
    left -= length(row);
    if (left > 0) room.insert({left, sequence});
  }
  for (auto& sequence : sequences) std::sort(sequence.begin(), sequence.end());
  std::sort(sequences.begin(), sequences.end(),
            [](const auto& a, const auto& b) { return a.front() < b.front(); });
  return sequences;
}

}  // namespace lorikeet
