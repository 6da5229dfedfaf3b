#pragma once
#include "autograd/tape.h"
#include "ops/slots.h"

namespace lorikeet {

/// What distinguishes one family's attention from another's.
struct AttentionSpec {
  Heads heads;
  double scale = 0;    ///< of the scores, usually 1 / sqrt(D)
  int64_t window = 0;  ///< 0: unlimited
  double softcap = 0;  ///< 0: none
  int32_t rotary_dim = 0;
  bool interleaved = false;
};

/// Rotary position embedding by the tables of `seq`; rebuilt in backward, whose gradient turns back in place.
Var rope(Tape& t, const AttentionSpec& spec, Var x, const Sequence& seq);

/// Causal grouped-query attention over the rows of the micro-batch; with a cache, keys and values of this
/// call are written to it first and the queries see all of it.   q [N,H*D], k, v [N,K*D] -> [N,H*D]; keeps
/// the output and lse.
Var attention(Tape& t, const AttentionSpec& spec, Var q, Var k, Var v, const Sequence& seq, size_t layer);

}  // namespace lorikeet
