#pragma once
// A tape for one block at a time over a two-ended arena.
//
// Goals: one description of a block serves forward, recording and recomputation; values that are cheap to
// make again (norm, rope, gated activation) are rebuilt instead of saved; nothing is allocated on the heap in
// a step; a dry arena turns the same run into an exact memory plan. Non-goals: general graphs, higher
// derivatives, sharing values between half-blocks except through stored views.
#include <cstring>
#include <type_traits>
#include <vector>

#include "backend/args.h"
#include "backend/backend.h"

namespace lorikeet {

/// Plain captures copied into a record: no heap, no destructor.
template <class... Params>
class Closure {
 public:
  template <class F>
  void set(const F& f) {
    static_assert(std::is_trivially_copyable_v<F> && sizeof(F) <= kBytes,
                  "capture ids, views and numbers only");
    std::memcpy(state_, &f, sizeof(F));
    call_ = [](const std::byte* s, Params... p) { (*reinterpret_cast<const F*>(s))(p...); };
  }
  void operator()(Params... p) const { call_(state_, p...); }

 private:
  static constexpr size_t kBytes = 320;
  alignas(16) std::byte state_[kBytes];
  void (*call_)(const std::byte*, Params...) = nullptr;
};

/// A value on the tape. Only a number: a captured view of a rebuilt value would dangle in backward.
struct Var {
  int id = -1;
  explicit operator bool() const { return id >= 0; }
};

class Tape {
 public:
  /// `pool` is the largest number of values, and of records, that will be alive at once.
  Tape(const Stream& stream, DType compute, size_t pool);

  const Stream& stream() const { return stream_; }
  Arena& arena() const { return *stream_.arena; }
  DType dtype() const { return compute_; }
  DType stat() const { return stat_dtype(compute_); }

  bool recording() const { return recording_; }
  void set_recording(bool on) { recording_ = on; }

  /// Memory that lives until its block's backward; scratch when the tape does not record.
  TensorView keep(Shape shape, DType dtype, const char* name);
  TensorView keep(Shape shape, const char* name) { return keep(shape, compute_, name); }

  /// A value over memory that outlives the half-block.
  Var stored(TensorView view, bool needs_grad);
  /// A scratch value together with the recipe that makes it: recipe(tape, view) runs now and again on demand.
  template <class F>
  Var rebuilt(Shape shape, const char* name, bool needs_grad, const F& recipe) {
    const TensorView v = arena().top(shape, compute_, name);
    recipe(*this, v);
    const Var y = add_node(v, needs_grad, name);
    if (recording_) {
      node(y).recipe.set(recipe);
      node(y).state = State::live;
    }
    return y;
  }

  Shape shape(Var v) { return node(v).value.shape(); }
  /// The value's memory, rebuilt first if it is gone. Fetch before opening an OpScratch.
  TensorView value(Var v);
  bool needs_grad(Var v) { return node(v).needs_grad; }

  /// A gradient buffer: the first writer sets, later writers add.
  struct Slot {
    TensorView view;
    bool accumulate = false;
  };
  TensorView grad(Var v) { return node(v).grad; }
  Slot grad_slot(Var v);
  /// Uses `buffer` as the gradient of v; `written` says whether it holds one already.
  void give_grad(Var v, TensorView buffer, bool written);
  /// The gradient of y becomes that of x, in place (y = f(x) with an in-place backward, or y = x + ...).
  TensorView pass_grad(Var y, Var x);
  /// The last reader of v writes the gradient over the value; a later read of v throws.
  TensorView grad_over_value(Var v);

  /// Records `f(tape)` as part of the backward of y.
  template <class F>
  void on_backward(Var y, const F& f) {
    if (recording_ && needs_grad(y)) push(Kind::op, 0).run.set(f);
  }
  template <class Args>
  void run(const Args& args) const {
    dispatch(stream_, args);
  }

  struct Mark {
    size_t nodes = 0, steps = 0;
  };
  Mark mark() const { return {n_nodes_, n_steps_}; }
  void rewind(Mark m);
  /// Runs the records after `m` in reverse and drops them.
  void backward_to(Mark m);

  /// Scratch, gradients and rebuilt values end with it, in forward and again in backward. Half-blocks do not
  /// nest.
  class HalfBlock {
   public:
    explicit HalfBlock(Tape& t);
    ~HalfBlock();
    HalfBlock(const HalfBlock&) = delete;
    HalfBlock& operator=(const HalfBlock&) = delete;

   private:
    Tape& t_;
    size_t top_;
    int first_;
  };
  /// Scratch of one op call. Values and gradient slots must be fetched before it opens.
  class OpScratch {
   public:
    explicit OpScratch(Tape& t) : t_(t), top_(t.arena().top_mark()) { ++t.open_scratch_; }
    ~OpScratch() {
      t_.arena().rewind_top(top_);
      --t_.open_scratch_;
    }
    OpScratch(const OpScratch&) = delete;
    OpScratch& operator=(const OpScratch&) = delete;
    TensorView get(Shape shape, DType dtype, const char* name) { return t_.arena().top(shape, dtype, name); }

   private:
    Tape& t_;
    size_t top_;
  };

 private:
  enum class State : uint8_t { stored, live, gone, dead };
  struct Node {
    TensorView value, grad;
    const char* name = "";
    State state = State::stored;
    bool needs_grad = false, has_grad = false;
    Closure<Tape&, TensorView> recipe;
  };
  enum class Kind : uint8_t { op, open, close };
  struct Step {
    Kind kind = Kind::op;
    int first_node = 0;
    Closure<Tape&> run;
  };

  Node& node(Var v) { return nodes_[static_cast<size_t>(v.id)]; }
  Var add_node(TensorView v, bool needs_grad, const char* name);
  Step& push(Kind kind, int first);
  void expire(int first);

  Stream stream_;
  DType compute_;
  bool recording_ = true;
  std::vector<Node> nodes_;
  std::vector<Step> steps_;
  size_t n_nodes_ = 0, n_steps_ = 0;
  int scope_first_ = 0, open_scratch_ = 0;
};

}  // namespace lorikeet
