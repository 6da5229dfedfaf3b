#pragma once
#include <cstdint>
#include <vector>

#include "model/spec.h"

namespace lorikeet {

/// Order in which a GGUF file stores the rows of a tensor: Hugging Face's; that of query or key rows whose
/// partners in the rotary embedding are neighbours; all queries, all keys, all values of a fused projection
/// that Hugging Face keeps by key head.
enum class RowOrder : uint8_t { as_is, rope_q, rope_k, fused };

/// The stored row of each of Hugging Face's rows; empty where they are the same.
std::vector<int32_t> stored_rows(RowOrder order, const ModelSpec& spec);

}  // namespace lorikeet
