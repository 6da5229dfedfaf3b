#include "backend/cuda/attention_run.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "backend/cuda/row_tables.h"
#include "backend/cuda/status.h"

namespace lorikeet::cuda {

namespace {

using Pass = AttentionShape::Pass;

int64_t round_up(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }

/// The next power of two, or three quarters of it where that is enough; at least 128.
int64_t round_length(int64_t tokens) {
  const auto power =
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(tokens, 128))));
  return power > 128 && tokens <= power / 4 * 3 ? power / 4 * 3 : power;
}

struct Planned {
  AttentionShape shape;
  AttentionTensors tensors;
  Plan plan;
};

/// The library's handle and the plans of all shapes met so far, on the device that was current at first use.
class Plans {
 public:
  Plans() {
    int device = 0, major = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
          "cudaDeviceGetAttribute");
    // The older engines, and those made like them for 12.x, are known to misplace packed scratch.
    if (major != 9 && major != 10)
      throw Error(
          ErrorKind::unsupported,
          fmt::format("attention by cuDNN needs compute capability 9.x or 10.x, the GPU has {}.x", major));
    cudnnHandle_t handle = nullptr;
    check(cudnnCreate(&handle), "cudnnCreate");
    handle_.reset(handle);
  }
  const Planned& of(const AttentionShape& s) {
    const std::lock_guard lock(mutex_);
    for (const Planned& p : plans_)  // a few of them
      if (p.shape == s) return p;
    AttentionGraph g = attention_graph(s);
    return plans_.emplace_back(Planned{s, g.tensors, Plan(std::move(g.graph), handle_.get())});
  }
  void run(const Planned& planned, std::span<const Binding> bindings, void* workspace, cudaStream_t queue) {
    const std::lock_guard lock(mutex_);  // the handle holds the stream
    check(cudnnSetStream(handle_.get(), queue), "cudnnSetStream");
    planned.plan.run(handle_.get(), bindings, workspace);
  }

 private:
  struct Destroy {
    void operator()(cudnnHandle_t handle) const { cudnnDestroy(handle); }
  };
  std::unique_ptr<cudnnContext, Destroy> handle_;
  std::mutex mutex_;
  std::deque<Planned> plans_;  // they stay where they are
};

Plans& plans() {
  static Plans all;
  return all;
}

size_t table_bytes(int64_t entries, size_t size) {
  return static_cast<size_t>(round_up(entries * static_cast<int64_t>(size), 16));
}

/// Where the parts of the workspace begin; `end` is its size.
struct Layout {
  size_t tables, dq_sum, dk_heads, dv_heads, engine, end;
};

Layout layout_of(const AttentionOperands& x, const AttentionShape& s, const Plan& plan) {
  size_t at = 256;  // the arena aligns to 64 bytes, the engines want more
  const auto take = [&](size_t bytes) {
    const size_t begin = at;
    at += static_cast<size_t>(round_up(static_cast<int64_t>(bytes), 256));
    return begin;
  };
  const bool sums = x.pass == Pass::backward, heads = x.dk && x.group() > 1;
  const auto heads_bytes = [&](const TensorView& v) {
    return heads ? static_cast<size_t>(v.rows * v.stride * x.group()) * sizeof(Bf16) : 0;
  };
  Layout l{};
  l.tables = take(2 * table_bytes(s.rows, sizeof(int32_t)) +
                  RowTables::kMost * table_bytes(s.rows + 1, sizeof(int64_t)));
  l.dq_sum = take(sums ? static_cast<size_t>(x.dq.rows * x.dq.stride) * sizeof(float) : 0);
  l.dk_heads = take(heads_bytes(x.dk));
  l.dv_heads = take(heads_bytes(x.dv));
  l.engine = take(plan.workspace_bytes());
  l.end = at;
  return l;
}

}  // namespace

AttentionOperands::AttentionOperands(const AttentionArgs& a)
    : pass(a.lse ? Pass::forward : Pass::inference),
      q(a.q),
      k(a.k),
      v(a.v),
      o(a.o),
      lse(a.lse),
      rows(a.rows),
      heads(a.heads),
      scale(a.scale),
      window(a.window) {}

AttentionOperands::AttentionOperands(const AttentionBwdArgs& a, bool ordered)
    : pass(ordered ? Pass::ordered_backward : Pass::backward),
      q(a.q),
      k(a.k),
      v(a.v),
      o(a.o),
      lse(a.lse),
      dout(a.dout),
      dq(a.dq),
      dk(a.dk),
      dv(a.dv),
      delta(a.delta),
      rows(a.rows),
      heads(a.heads),
      scale(a.scale),
      window(a.window) {}

AttentionShape shape_of(const AttentionOperands& x) {
  AttentionShape s;
  s.pass = x.pass;
  s.rows = static_cast<int64_t>(std::bit_ceil(x.rows.size()));
  int64_t queries = 0, keys = 0;
  for (const RowSpan& r : x.rows) {
    queries = std::max<int64_t>(queries, r.q_count);
    keys = std::max<int64_t>(keys, r.k_count);
    s.more_keys |= r.k_count != r.q_count;
  }
  s.most_queries = round_length(queries);
  s.most_keys = round_length(keys);
  s.heads = x.heads.q;
  s.kv_heads = x.heads.kv;
  s.dim = x.heads.dim;
  s.scale = static_cast<float>(x.scale);
  // A window that nothing lies before would only be another plan.
  s.window = x.window < keys ? static_cast<int32_t>(x.window) : 0;
  s.strides = {x.q.stride,    x.k.stride,  x.v.stride,  x.o.stride, x.lse.stride,
               x.dout.stride, x.dq.stride, x.dk.stride, x.dv.stride};
  return s;
}

size_t attention_workspace(const AttentionOperands& x) {
  const AttentionShape s = shape_of(x);
  return layout_of(x, s, plans().of(s).plan).end;
}

void run_attention(const AttentionOperands& x, void* workspace, cudaStream_t queue) {
  const AttentionShape s = shape_of(x);
  const Planned& planned = plans().of(s);
  const AttentionTensors& t = planned.tensors;
  const Layout l = layout_of(x, s, planned.plan);
  char* base = static_cast<char*>(workspace) - reinterpret_cast<uintptr_t>(workspace) % 256;
  char* table = base + l.tables;
  RowTables tables{static_cast<int32_t>(s.rows), nullptr, nullptr, 0, {}};
  std::vector<Binding> bindings;
  const auto lengths = [&](TensorId id, int32_t*& at) {
    at = reinterpret_cast<int32_t*>(table);
    bindings.push_back({id, at});
    table += table_bytes(s.rows, sizeof(int32_t));
  };
  const auto bind = [&](const RaggedTensor& tensor, const TensorView& v, bool of_keys) {
    if (!tensor.tensor) return;
    tables.places[tables.count++] = {reinterpret_cast<int64_t*>(table), v.stride, of_keys};
    bindings.push_back({tensor.tensor, v.data});
    bindings.push_back({tensor.at, table});
    table += table_bytes(s.rows + 1, sizeof(int64_t));
  };
  lengths(t.queries, tables.queries);
  lengths(t.keys, tables.keys);
  bind(t.q, x.q, false);
  bind(t.k, x.k, true);
  bind(t.v, x.v, true);
  bind(t.o, x.o, false);
  bind(t.lse, x.lse, false);
  bind(t.dout, x.dout, false);
  bind(t.dq, x.dq, false);
  bind(t.dk, x.dk, true);
  bind(t.dv, x.dv, true);
  bindings.push_back({t.delta, x.delta.data});
  bindings.push_back({t.dq_sum, base + l.dq_sum});
  bindings.push_back({t.dk_heads, base + l.dk_heads});
  bindings.push_back({t.dv_heads, base + l.dv_heads});
  check(start_row_tables(tables, x.rows, queue), "row_tables");
  plans().run(planned, bindings, base + l.engine, queue);
}

}  // namespace lorikeet::cuda
