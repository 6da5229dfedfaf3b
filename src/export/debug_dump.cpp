#include "export/debug_dump.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "io/safetensors_writer.h"
#include "model/decoder.h"
#include "ops/norm.h"

namespace lorikeet {

namespace {

constexpr int32_t kIgnored = -100;

[[noreturn]] void refuse(size_t row, const std::string& what) {
  throw Error(ErrorKind::usage, what, fmt::format("row {}", row + 1));
}

/// The rows end to end.
struct DumpBatch {
  std::vector<int32_t> tokens, positions, target_at, target_id, all;
  std::vector<RowSpan> rows;
  std::vector<int64_t> row_ids;

  DumpBatch(const Model& model, const std::vector<DumpRow>& source) {
    for (size_t i = 0; i < source.size(); ++i) add(model, i, source[i]);
    if (target_at.empty())
      throw Error(ErrorKind::usage, "no row has a target token", "",
                  "give labels other than -100 after a row's first token");
    all.resize(tokens.size());
    std::iota(all.begin(), all.end(), 0);
  }
  MicroBatch view() const { return {tokens, positions, rows, target_at, target_id, row_ids}; }

 private:
  void add(const Model& model, size_t index, const DumpRow& row) {
    const auto n = static_cast<int32_t>(row.ids.size()), begin = static_cast<int32_t>(tokens.size());
    if (n == 0) refuse(index, "the row has no tokens");
    if (n > model.positions)
      refuse(index, fmt::format("{} tokens are more than the {} positions prepared", n, model.positions));
    if (row.labels.size() != row.ids.size())
      refuse(index, fmt::format("{} labels for {} tokens", row.labels.size(), n));
    const auto check = [&](int32_t id) {
      if (id < 0 || id >= model.spec.vocab_size)
        refuse(index, fmt::format("token id {} is outside the vocabulary of {}", id, model.spec.vocab_size));
      return id;
    };
    rows.push_back({begin, n, begin, n});
    row_ids.push_back(static_cast<int64_t>(index));
    for (int32_t t = 0; t < n; ++t) {
      tokens.push_back(check(row.ids[static_cast<size_t>(t)]));
      positions.push_back(t);
      if (t + 1 == n || row.labels[static_cast<size_t>(t) + 1] == kIgnored) continue;
      target_at.push_back(begin + t);
      target_id.push_back(check(row.labels[static_cast<size_t>(t) + 1]));
    }
  }
};

/// A [rows, cols] tensor on the heap.
struct HostTensor {
  std::vector<std::byte> memory;
  TensorView view;
  HostTensor(Shape shape, DType dtype, bool dry)
      : memory(dry ? 0 : static_cast<size_t>(shape.count()) * size_of(dtype)),
        view(dry ? nullptr : memory.data(), shape, dtype) {}
};

std::vector<float> as_floats(const TensorView& v) {
  std::vector<float> out;
  out.reserve(static_cast<size_t>(v.count()));
  for (int64_t i = 0; i < v.rows; ++i)
    for (int64_t k = 0; k < v.cols; ++k)
      out.push_back(v.dtype == DType::bf16 ? to_float(v.row<Bf16>(i)[k]) : v.row<float>(i)[k]);
  return out;
}

struct Results {
  double loss = 0;
  std::vector<float> logits;               // [N,V]
  std::vector<std::vector<float>> hidden;  // per layer and the last norm, [N,C]
};

/// One pass over everything on `arena`; on a dry arena only its high water matters.
Results run(const Model& model, ThreadPool& threads, Arena& arena, const DumpBatch& batch,
            const DumpRequest& request) {
  const Stream stream{Device::cpu, &threads, &arena};
  const bool dry = arena.is_dry();
  const MicroBatch view = batch.view();
  Decoder decoder(model, stream);
  Results r;

  HostTensor logits({view.n(), model.head.vocab_size()}, DType::f32, dry);
  HostTensor last({view.n(), model.spec.hidden_size}, model.compute, dry),
      normed = HostTensor(last.view.shape(), model.compute, dry);
  decoder.logits(view, {}, {}, batch.all, logits.view, [&](int64_t layer, TensorView hidden) {
    if (!request.hidden_states || dry) return;
    if (layer < static_cast<int64_t>(model.blocks.size()))
      r.hidden.push_back(as_floats(hidden));
    else
      std::copy_n(static_cast<const std::byte*>(hidden.data), last.memory.size(), last.memory.data());
  });
  r.logits = dry ? std::vector<float>() : as_floats(logits.view);
  if (request.hidden_states) {
    norm_rows(stream, model.head.norm, normed.view, {}, last.view);
    if (!dry) r.hidden.push_back(as_floats(normed.view));
  }

  const double scale = 1.0 / static_cast<double>(batch.target_at.size());
  const LossTotals totals{TensorView(dry ? nullptr : &r.loss, {1, 1}, DType::f64), nullptr, nullptr};
  if (request.gradients)
    decoder.forward_backward(view, scale, static_cast<int64_t>(model.blocks.size()), {}, totals);
  else
    decoder.evaluate(view, totals);
  r.loss *= scale;
  return r;
}

/// The gradient of a parameter as files lay it out.
std::vector<float> gradient_values(const TrainableStore& store, const NamedTensor& t) {
  std::vector<float> values;
  TrainableStore::for_each_in_file_order(t, store.grad_of(t), [&](float x) { values.push_back(x); });
  return values;
}

std::string gradient_name(const TrainableStore& store, const NamedTensor& t) {
  return "grad." + std::string(store.only_base() ? "" : "base_model.model.") + t.name;
}

/// The tensors that learn, as files have them: whole matrices of a model that is stored by columns are
/// turned.
std::vector<NamedTensor> tensors_of_files(const Model& model, const TrainableStore& store) {
  std::set<std::string> by_columns;
  if (model.spec.conv1d)
    for (const std::string& path : linear_module_paths(model.spec)) by_columns.insert(path + ".weight");
  std::vector<NamedTensor> tensors = store.tensors();
  for (NamedTensor& t : tensors)
    if (by_columns.contains(t.name)) {
      t.transposed = true;
      t.shape = {t.cols, t.rows};
    }
  return tensors;
}

}  // namespace

void write_debug_dump(const Model& model, TrainableStore& store, ThreadPool& threads,
                      const DumpRequest& request) {
  LORIKEET_CHECK(stat_dtype(model.compute) == DType::f32);
  const DumpBatch batch(model, request.rows);
  Arena plan = Arena::dry();
  run(model, threads, plan, batch, request);
  Arena arena(plan.high_water());
  if (request.gradients) store.zero_grad(Stream{Device::cpu, &threads, &arena});
  const Results r = run(model, threads, arena, batch, request);

  const std::vector<NamedTensor> learning = tensors_of_files(model, store);
  std::vector<SafetensorsEntry> entries = {{"loss", SafetensorsType::f32, {1}}};
  const auto row_tensors = [&](const auto& use) {
    for (size_t row = 0; row < batch.rows.size(); ++row) {
      use(fmt::format("logits.{}", row), row, r.logits, model.head.vocab_size());
      for (size_t layer = 0; layer < r.hidden.size(); ++layer)
        use(fmt::format("hidden.{}.{}", layer, row), row, r.hidden[layer], model.spec.hidden_size);
    }
  };
  row_tensors([&](const std::string& name, size_t row, const std::vector<float>&, int64_t width) {
    entries.push_back({name, SafetensorsType::f32, {batch.rows[row].q_count, width}});
  });
  if (request.gradients)
    for (const NamedTensor& t : learning)
      entries.push_back({gradient_name(store, t), SafetensorsType::f32, t.shape});

  SafetensorsWriter writer(request.output, entries);
  const auto loss = static_cast<float>(r.loss);
  writer.write("loss", std::span<const float>(&loss, 1));
  row_tensors([&](const std::string& name, size_t row, const std::vector<float>& values, int64_t width) {
    const RowSpan& s = batch.rows[row];
    writer.write(name, std::span(values).subspan(static_cast<size_t>(s.q_begin * width),
                                                 static_cast<size_t>(s.q_count * width)));
  });
  if (request.gradients)
    for (const NamedTensor& t : learning)
      writer.write(gradient_name(store, t), std::span<const float>(gradient_values(store, t)));
  writer.commit();
}

}  // namespace lorikeet
