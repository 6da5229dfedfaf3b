#pragma once
// A parsed template. Nodes are immutable after parsing.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace lorikeet::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<const Expr>;

enum class ExprKind {
  constant,     // value
  name,         // text
  list,         // items
  tuple,        // items
  dict,         // items: key, value, key, value, ...
  negative,     // items[0]
  positive,     // items[0]
  logical_not,  // items[0]
  logical_and,  // items[0], items[1]
  logical_or,   // items[0], items[1]
  binary,       // text is the operator: + - * / // % **
  concat,       // items, joined as text
  compare,      // items[0] operators[0] items[1] operators[1] ...
  conditional,  // items: test, then, else (may be null)
  attribute,    // items[0].text
  subscript,    // items[0][items[1]]
  slice,        // items[0][items[1]:items[2]:items[3]], each but the first may be null
  call,         // items[0](items[1..], named)
  filter,       // items[0] | text(items[1..], named); items[0] is null in a filter block
  test          // items[0] is text(items[1..], named)
};

struct Expr {
  ExprKind kind = ExprKind::constant;
  int line = 1;
  int depth = 1;  ///< height of the tree, which bounds recursion
  std::string text;
  Value value;
  std::vector<ExprPtr> items;
  std::vector<std::string> operators;
  std::vector<std::pair<std::string, ExprPtr>> named;
};

struct Stmt;
using Block = std::vector<std::unique_ptr<const Stmt>>;

/// One parameter of a macro or call block.
struct Parameter {
  std::string name;
  ExprPtr fallback;  ///< may be null
};

enum class StmtKind {
  text,          // text
  output,        // exprs[0]
  if_else,       // exprs[i] ? blocks[i]; a further block is the else
  for_loop,      // target; exprs[0] what to go through, exprs[1] the filter (may be null); blocks[0], else
                 // blocks[1]
  set,           // target = exprs[0]
  set_block,     // target = blocks[0] (through the filters exprs[0], may be null)
  macro,         // text is the name; parameters; blocks[0]
  call_block,    // exprs[0] is the call; parameters; blocks[0]
  filter_block,  // exprs[0] is the filter; blocks[0]
  with,          // targets and exprs pairwise; blocks[0]
  generation,    // blocks[0]
  break_loop,
  continue_loop
};

/// What a set or for assigns to: a name, a member of a namespace, or several of these.
struct Target {
  std::string name;
  std::string member;  ///< name.member where not empty
  std::vector<Target> parts;
};

struct Stmt {
  StmtKind kind = StmtKind::text;
  int line = 1;
  std::string text;
  Target target;
  std::vector<Target> targets;
  std::vector<ExprPtr> exprs;
  std::vector<Block> blocks;
  std::vector<Parameter> parameters;
  bool takes_varargs = false;  ///< a macro whose body names varargs, kwargs, caller
  bool takes_kwargs = false;
  bool takes_caller = false;
};

/// A whole template.
struct Program {
  std::string name;  ///< stands in errors
  std::string source;
  Block body;
  bool marks_generation = false;
};

}  // namespace lorikeet::jinja
