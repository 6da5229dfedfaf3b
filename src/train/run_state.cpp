#include "train/run_state.h"

#include <map>

#include "core/error.h"

namespace lorikeet {

namespace {

const Json& member(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end()) throw Error(ErrorKind::format, fmt::format("\"{}\" is missing", key), where);
  return *found;
}

}  // namespace

std::string to_text(const RunState& s) {
  std::map<std::string, Json> fields;  // transformers sorts its keys
  fields["best_global_step"] = s.best_loss ? Json(s.best_step) : Json();
  fields["best_metric"] = s.best_loss ? Json(*s.best_loss) : Json();
  fields["best_model_checkpoint"] = s.best_checkpoint.empty() ? Json() : Json(s.best_checkpoint);
  fields["epoch"] = s.epoch;
  fields["eval_steps"] = s.eval_steps;
  fields["global_step"] = s.global_step;
  fields["is_hyper_param_search"] = false;
  fields["is_local_process_zero"] = true;
  fields["is_world_process_zero"] = true;
  fields["log_history"] = s.log_history;
  fields["logging_steps"] = s.logging_steps;
  fields["max_steps"] = s.max_steps;
  fields["num_input_tokens_seen"] = s.tokens_seen;
  fields["num_train_epochs"] = s.num_train_epochs;
  fields["save_steps"] = s.save_steps;
  fields["stateful_callbacks"] = Json::object();
  fields["total_flos"] = 0;
  fields["train_batch_size"] = s.train_batch_size;
  fields["trial_name"] = nullptr;
  fields["trial_params"] = nullptr;
  Json own = Json::object();
  own["evaluations_without_gain"] = s.evaluations_without_gain;
  own["first_loss"] = s.first_loss;
  own["seconds"] = s.seconds;
  own["total_loss"] = s.total_loss;
  own["window_loss"] = s.window_loss;
  own["window_steps"] = s.window_steps;
  fields["lorikeet"] = own;
  Json out = Json::object();
  for (auto& [key, value] : fields) out[key] = std::move(value);
  return to_text(out, 2) + "\n";
}

RunState parse_run_state(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(ErrorKind::format, "an object is needed", where);
  const auto integer = [&](const Json& object, const char* key) {
    return json_int(member(object, key, where), fmt::format("{}, \"{}\"", where, key));
  };
  const auto number = [&](const Json& object, const char* key) {
    return json_number(member(object, key, where), fmt::format("{}, \"{}\"", where, key));
  };
  RunState s;
  s.global_step = integer(json, "global_step");
  s.max_steps = integer(json, "max_steps");
  s.epoch = number(json, "epoch");
  s.tokens_seen = integer(json, "num_input_tokens_seen");
  s.logging_steps = integer(json, "logging_steps");
  s.eval_steps = integer(json, "eval_steps");
  s.save_steps = integer(json, "save_steps");
  s.train_batch_size = integer(json, "train_batch_size");
  s.num_train_epochs = number(json, "num_train_epochs");
  const Json& history = member(json, "log_history", where);
  if (!history.is_array()) throw Error(ErrorKind::format, "\"log_history\" is no list", where);
  s.log_history.assign(history.begin(), history.end());
  if (const Json& best = member(json, "best_metric", where); !best.is_null()) {
    s.best_loss = number(json, "best_metric");
    s.best_step = integer(json, "best_global_step");
  }
  if (const Json& best = member(json, "best_model_checkpoint", where); !best.is_null())
    s.best_checkpoint = json_string(best, where);
  const Json& own = member(json, "lorikeet", where);
  if (!own.is_object()) throw Error(ErrorKind::format, "\"lorikeet\" is no object", where);
  s.evaluations_without_gain = integer(own, "evaluations_without_gain");
  s.first_loss = number(own, "first_loss");
  s.seconds = number(own, "seconds");
  s.total_loss = number(own, "total_loss");
  s.window_loss = number(own, "window_loss");
  s.window_steps = integer(own, "window_steps");
  return s;
}

}  // namespace lorikeet
