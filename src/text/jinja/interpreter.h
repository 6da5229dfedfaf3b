#pragma once
// Runs a parsed template within limits.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/chat_template.h"
#include "text/jinja/ast.h"
#include "text/jinja/value.h"

namespace lorikeet::jinja {

/// The arguments of a call, filter or test.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Variables of one block; looked up outwards.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : outer(std::move(outer)) {}
  std::vector<std::pair<std::string, Value>> variables;
  std::shared_ptr<Scope> outer;
};

class Interpreter {
 public:
  Interpreter(const Program& program, const RenderLimits& limits) : program_(program), limits_(limits) {}
  ~Interpreter();
  Rendered run(const Json& variables);

  /// Counts work: one step and `bytes` of text or values made. Throws Error(resource) beyond the limit.
  void charge(size_t bytes = 0);
  /// As charge, before a text of `bytes` is made; also bounds the text itself.
  void charge_text(size_t bytes);
  /// An error as Jinja2 would raise it, with the line being run.
  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void unsupported(const std::string& message) const;

  Value call(const Value& callee, const Arguments& arguments);
  Value filter(const std::string& name, const Value& value, const Arguments& arguments);
  bool test(const std::string& name, const Value& value, const Arguments& arguments);
  /// value.name and value[key].
  Value attribute(const Value& value, const std::string& name);
  Value item(const Value& value, const Value& key);
  /// What Python's iter(value) goes through. Uses up a generator.
  std::vector<Value> iterate(const Value& value);
  /// Throws if `value` is undefined.
  const Value& defined(const Value& value) const;
  std::optional<int64_t> now() const { return limits_.now; }
  /// Keeps a namespace until the end. Namespaces may hold each other in circles and long chains: all are
  /// emptied together then.
  void keep(std::shared_ptr<Namespace> ns);

  /// Counts nesting while it lives; throws Error(resource) beyond the limit.
  struct Depth {
    explicit Depth(Interpreter& in);
    ~Depth() { --in.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    Interpreter& in;
  };

 private:
  friend class Macro;
  enum class Flow { normal, break_loop, continue_loop };

  Flow run(const Block& block);
  Flow run(const Stmt& stmt);
  Flow run_if(const Stmt& stmt);
  Flow run_for(const Stmt& stmt);
  void run_generation(const Stmt& stmt);
  void run_call_block(const Stmt& stmt);
  Value make_macro(const Stmt& stmt, const std::string& name);
  /// What a block writes, in a scope of its own inside `scope`.
  std::string capture(const Block& block, std::shared_ptr<Scope> scope);
  Value run_macro(const Stmt& stmt, const std::shared_ptr<Scope>& scope, const std::string& name,
                  const Arguments& arguments);
  void assign(const Target& target, const Value& value);
  void set_variable(const std::string& name, Value value);
  Value variable(const std::string& name) const;
  void write(std::string_view text);

  Value evaluate(const Expr& e);
  Value evaluate_here(const Expr& e);
  Value compare(const Expr& e);
  Value slice(const Expr& e);
  Value apply_filters(const Expr& e, const Value& input);
  Arguments arguments(const Expr& e, size_t first);

  const Program& program_;
  RenderLimits limits_;
  size_t steps_ = 0;
  int depth_ = 0;
  int line_ = 1;
  std::string main_output_;
  std::string* output_ = &main_output_;
  std::vector<TextSpan> spans_;
  bool spans_known_ = true;
  std::shared_ptr<Scope> scope_;
  std::vector<std::shared_ptr<Scope>> macro_scopes_;  // kept and emptied at the end like the namespaces
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

}  // namespace lorikeet::jinja
