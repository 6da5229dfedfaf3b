#include <algorithm>
#include <cmath>
#include <map>

#include "export/debug_dump.h"
#include "io/safetensors.h"

namespace lorikeet {

namespace {

/// Place of a tensor's kind in the order of computation.
int stage_of(const std::string& name) {
  constexpr const char* kStages[] = {"hidden.", "logits", "loss", "grad."};
  for (int i = 0; i < 4; ++i)
    if (name.starts_with(kStages[i])) return i;
  return 4;
}

/// Name with every number padded, so that text order is the order of the numbers.
std::string sort_key(const std::string& name) {
  constexpr size_t kDigits = 8;
  std::string key, digits;
  const auto flush = [&] {
    if (!digits.empty()) key += std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
    digits.clear();
  };
  for (const char c : name) {
    if (c >= '0' && c <= '9') {
      digits += c;
      continue;
    }
    flush();
    key += c;
  }
  flush();
  return key;
}

std::vector<float> values_of(const SafetensorsTensor& t, const std::string& file) {
  const std::optional<DType> dtype = to_dtype(t.type);
  if (!dtype || size_of(*dtype) > sizeof(float))
    throw Error(ErrorKind::unsupported,
                fmt::format("tensor \"{}\" has type {}, only F32, BF16 and F16 are compared", t.name,
                            name_of(t.type)),
                file);
  const auto n = static_cast<size_t>(t.count());
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) {
    if (*dtype == DType::f32)
      out[i] = reinterpret_cast<const float*>(t.data)[i];
    else if (*dtype == DType::bf16)
      out[i] = to_float(reinterpret_cast<const Bf16*>(t.data)[i]);
    else
      out[i] = to_float(reinterpret_cast<const F16*>(t.data)[i]);
  }
  return out;
}

DumpDifference compare(const SafetensorsTensor& a, const SafetensorsTensor& b, const std::string& file_a,
                       const std::string& file_b) {
  DumpDifference d;
  d.name = a.name;
  d.shape_a = a.shape;
  d.shape_b = b.shape;
  d.comparable = a.shape == b.shape;
  if (!d.comparable) return d;
  const std::vector<float> x = values_of(a, file_a), y = values_of(b, file_b);
  double error = 0, size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double e = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    // A NaN must not vanish in max().
    d.largest = std::isnan(e) ? e : std::max(d.largest, std::abs(e));
    error += e * e;
    size += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  d.nmse = error == 0 ? 0 : error / size;
  return d;
}

}  // namespace

std::vector<DumpDifference> diff_dumps(const std::string& a, const std::string& b) {
  const SafetensorsSet left = SafetensorsSet::open_file(a), right = SafetensorsSet::open_file(b);
  std::vector<DumpDifference> all;
  for (const SafetensorsTensor& t : left.tensors()) {
    if (const SafetensorsTensor* other = right.find(t.name)) {
      all.push_back(compare(t, *other, a, b));
      continue;
    }
    DumpDifference& d = all.emplace_back();
    d.name = t.name;
    d.shape_a = t.shape;
    d.comparable = false;
  }
  for (const SafetensorsTensor& t : right.tensors()) {
    if (left.find(t.name)) continue;
    DumpDifference& d = all.emplace_back();
    d.name = t.name;
    d.shape_b = t.shape;
    d.comparable = false;
  }
  std::sort(all.begin(), all.end(), [](const DumpDifference& x, const DumpDifference& y) {
    const int s = stage_of(x.name), t = stage_of(y.name);
    return s != t ? s < t : sort_key(x.name) < sort_key(y.name);
  });
  return all;
}

}  // namespace lorikeet
