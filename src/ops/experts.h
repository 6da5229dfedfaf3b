#pragma once
// A mixture of experts in three ops: where each token goes, what its experts' gate and up projections make of
// it, and their weighted sum.
//
// The rows of all experts lie in one matrix, so its size is known before the routing is: a plan is exact for
// any routing. Each expert is an ordinary product over its own rows.
#include <array>

#include "autograd/tape.h"
#include "ops/slots.h"

namespace lorikeet {

/// Where the tokens of one micro-batch go at one layer.
struct Routing {
  ExpertRows rows;
  TensorView probability;  ///< [N,E]
  Var weight;              ///< [M,1] of each row
};

/// Softmax of the router's logits and the top_k experts of each token, all in the stat type. Keeps the
/// probabilities and the places; backward goes through the weights, the choice has no gradient.   x [N,C]
Routing route(Tape& t, const ExpertsSlot& experts, Var x);

/// Gate and up projections of the rows of all experts.   x [N,C] -> gate, up [M,F]; keeps both
std::array<Var, 2> expert_gate_up(Tape& t, const ExpertsSlot& experts, const Routing& routing, Var x);

/// out = residual + sum over a token's experts of weight * down(h), in f32, rounded once.   h [M,F] -> out
/// [N,C]
///
/// An empty `out` says that nobody will read the value: the products are skipped. Backward needs no output of
/// the experts either: a weight's gradient is the product of h and its gradient before weighting.
Var expert_down_add(Tape& t, const ExpertsSlot& experts, const Routing& routing, Var h, Var residual,
                    TensorView out);

}  // namespace lorikeet
