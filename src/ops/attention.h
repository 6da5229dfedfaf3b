#pragma once
#include "autograd/tape.h"
#include "ops/slots.h"

namespace lorikeet {

/// What distinguishes one family's attention from another's.
struct AttentionSpec {
  Heads heads;
  double scale = 0;        ///< of the scores, usually 1 / sqrt(D)
  int64_t window = 0;      ///< 0: unlimited
  double softcap = 0;      ///< 0: none
  int32_t rotary_dim = 0;  ///< elements of each head that turn; 0: positions come from elsewhere
  bool interleaved = false;
  int32_t rope = 0;  ///< which of the sequence's tables
};

/// Rotary position embedding of the `heads` heads that lie in x by `layout`; rebuilt in backward.
/// x [N, any] -> [N, heads*D]. Where x holds nothing else, the gradient turns back in place.
Var rope(Tape& t, const AttentionSpec& spec, Var x, int32_t heads, HeadLayout layout, const Sequence& seq);
/// The heads alone, copied out of a fused projection.
Var take_heads(Tape& t, const AttentionSpec& spec, Var x, int32_t heads, HeadLayout layout);

/// Causal grouped-query attention over the rows of the micro-batch; with a cache, keys and values of this
/// call are written to it first and the queries see all of it.   q [N,H*D], k, v [N,K*D] -> [N,H*D]; keeps
/// the output and lse.
Var attention(Tape& t, const AttentionSpec& spec, Var q, Var k, Var v, const Sequence& seq, size_t layer);

}  // namespace lorikeet
