#include "autograd/tape.h"

namespace lorikeet {

namespace {
[[noreturn]] void misuse(const char* what, const char* name) {
  throw Error(ErrorKind::internal, fmt::format("tape: {}: {}", what, name), "",
              "this is a bug in lorikeet, please report it");
}
}  // namespace

Tape::Tape(const Stream& stream, DType compute, size_t pool)
    : stream_(stream), compute_(compute), nodes_(pool), steps_(pool) {}

TensorView Tape::keep(Shape shape, DType dtype, const char* name) {
  return recording_ ? arena().bottom(shape, dtype, name) : arena().top(shape, dtype, name);
}

Var Tape::stored(TensorView view, bool needs_grad) { return add_node(view, needs_grad, "stored"); }

TensorView Tape::value(Var v) {
  Node& n = node(v);
  if (n.state == State::dead) misuse("value was given up", n.name);
  if (n.state == State::gone) {
    if (open_scratch_) misuse("rebuild inside op scratch", n.name);
    const TensorView view = arena().top(n.value.shape(), n.value.dtype, n.name);
    n.value = view;
    n.state = State::live;
    n.recipe(*this, view);
  }
  return n.value;
}

Tape::Slot Tape::grad_slot(Var v) {
  Node& n = node(v);
  if (!n.grad) {
    if (v.id < scope_first_) misuse("gradient of an outer value would die with the half-block", n.name);
    if (open_scratch_) misuse("gradient inside op scratch", n.name);
    n.grad = arena().top(n.value.shape(), compute_, "grad");
  }
  const bool had = n.has_grad;
  n.has_grad = true;
  return {n.grad, had};
}

void Tape::give_grad(Var v, TensorView buffer, bool written) {
  node(v).grad = buffer;
  node(v).has_grad = written;
}

TensorView Tape::pass_grad(Var y, Var x) {
  if (node(x).has_grad) misuse("pass_grad to a value that has a gradient", node(x).name);
  if (needs_grad(x)) give_grad(x, grad(y), true);
  return grad(y);
}

TensorView Tape::grad_over_value(Var v) {
  Node& n = node(v);
  if (n.has_grad) misuse("grad_over_value of a value with another use", n.name);
  n.state = State::dead;
  give_grad(v, n.value, true);
  return n.value;
}

void Tape::rewind(Mark m) {
  n_nodes_ = m.nodes;
  n_steps_ = m.steps;
}

void Tape::backward_to(Mark m) {
  size_t open_top = 0;
  int outer = 0;
  while (n_steps_ > m.steps) {
    const Step& s = steps_[--n_steps_];
    if (s.kind == Kind::op) {
      s.run(*this);
    } else if (s.kind == Kind::close) {
      open_top = arena().top_mark();
      outer = scope_first_;
      scope_first_ = s.first_node;
    } else {
      arena().rewind_top(open_top);
      expire(s.first_node);
      scope_first_ = outer;
    }
  }
  n_nodes_ = m.nodes;
}

Tape::HalfBlock::HalfBlock(Tape& t)
    : t_(t), top_(t.arena().top_mark()), first_(static_cast<int>(t.n_nodes_)) {
  if (t.recording_) t.push(Kind::open, first_);
}

Tape::HalfBlock::~HalfBlock() {
  t_.arena().rewind_top(top_);
  t_.expire(first_);
  if (!t_.recording_) return;
  Step& s = t_.steps_[t_.n_steps_++];  // push() leaves this place free, since a destructor must not throw
  s.kind = Kind::close;
  s.first_node = first_;
}

Var Tape::add_node(TensorView v, bool needs_grad, const char* name) {
  if (n_nodes_ == nodes_.size()) misuse("value pool is full", name);
  Node& n = nodes_[n_nodes_];
  n.value = v;
  n.grad = {};
  n.name = name;
  n.state = State::stored;
  n.needs_grad = needs_grad;
  n.has_grad = false;
  return {static_cast<int>(n_nodes_++)};
}

Tape::Step& Tape::push(Kind kind, int first) {
  if (n_steps_ + 1 >= steps_.size()) misuse("record pool is full", "step");
  Step& s = steps_[n_steps_++];
  s.kind = kind;
  s.first_node = first;
  return s;
}

void Tape::expire(int first) {
  for (size_t i = static_cast<size_t>(first); i < n_nodes_; ++i)
    if (nodes_[i].state == State::live) nodes_[i].state = State::gone;
}

}  // namespace lorikeet
