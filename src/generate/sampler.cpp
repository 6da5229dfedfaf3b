#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/philox.h"

namespace lorikeet {

namespace {

int32_t first_maximum(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best] || std::isnan(logits[best])) best = i;
  if (!std::isfinite(logits[best]))
    throw Error(ErrorKind::format, fmt::format("the model's largest logit is {}", logits[best]), "",
                "the weights or the adapter are broken, or --compute-dtype float32 is needed");
  return static_cast<int32_t>(best);
}

/// The ids that may be drawn, most likely first (all of them, in order of id, where nothing is cut).
void candidates(std::span<const float> logits, const SamplingOptions& o, std::vector<int32_t>& ids) {
  ids.resize(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto likelier = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  };
  const auto k = static_cast<size_t>(o.top_k);
  if (k > 0 && k < ids.size()) {
    std::nth_element(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(k), ids.end(), likelier);
    ids.resize(k);
  }
  if (k > 0 || o.top_p < 1) std::sort(ids.begin(), ids.end(), likelier);
}

}  // namespace

void validate(const SamplingOptions& o) {
  const auto refuse = [](const char* name, const std::string& value, const char* range) {
    throw Error(ErrorKind::usage, fmt::format("{} is {}, it must be {}", name, value, range));
  };
  if (!(o.temperature >= 0) || std::isinf(o.temperature))
    refuse("temperature", fmt::format("{}", o.temperature), "0 or more");
  if (!(o.top_p > 0 && o.top_p <= 1)) refuse("top_p", fmt::format("{}", o.top_p), "above 0 and at most 1");
  if (o.top_k < 0) refuse("top_k", fmt::format("{}", o.top_k), "0 or more");
}

int32_t sample(std::span<const float> logits, const SamplingOptions& o, uint64_t row, uint64_t position,
               std::vector<int32_t>& scratch) {
  const int32_t best = first_maximum(logits);
  if (o.temperature == 0) return best;
  candidates(logits, o, scratch);
  const double largest = static_cast<double>(logits[static_cast<size_t>(best)]);
  const auto weight = [&](int32_t id) {
    const float x = logits[static_cast<size_t>(id)];
    return std::isnan(x) ? 0.0 : std::exp((static_cast<double>(x) - largest) / o.temperature);
  };
  double total = 0;
  for (const int32_t id : scratch) total += weight(id);
  if (o.top_p < 1) {
    // The smallest set of likely tokens that reaches top_p; the first is always in it.
    double sum = 0;
    size_t kept = 0;
    while (kept < scratch.size() && (kept == 0 || sum < o.top_p * total)) sum += weight(scratch[kept++]);
    scratch.resize(kept);
    total = sum;
  }
  const double u = Philox(o.seed, row).uniform_double(position) * total;
  double sum = 0;
  for (const int32_t id : scratch) {
    sum += weight(id);
    if (u < sum) return id;
  }
  return best;  // rounding of the last sum
}

}  // namespace lorikeet
