// AdamW with both moments in 8 bits: bitsandbytes' AdamW8bit and PagedAdamW8bit.
#include "optim/registry.h"

namespace lorikeet {

namespace {

/// Tensors with fewer elements keep f32 moments. Source: bitsandbytes, min_8bit_size.
constexpr int64_t kLeastElements = 4096;

class AdamW8bit final : public Optimizer {
 public:
  AdamW8bit(TrainableStore& store, const OptimizerOptions& options, bool dry) : Optimizer(store, options) {
    for (size_t i = 0; i < store.tensors().size(); ++i) {
      const bool small = elements(i) < kLeastElements;
      const SafetensorsType type = small ? SafetensorsType::f32 : SafetensorsType::u8;
      places_.push_back({small, declare(i, "m.", type), declare(i, "v.", type), 0, 0});
      if (small) continue;
      places_.back().m_absmax = declare_scales(i, "m_absmax.");
      places_.back().v_absmax = declare_scales(i, "v_absmax.");
    }
    allocate(dry);
  }

 private:
  /// Where a tensor's state lies: indices into state().
  struct Places {
    bool small;
    size_t m, v, m_absmax, v_absmax;
  };

  BlockwiseMoment moment(size_t codes, size_t absmax) const {
    return {reinterpret_cast<uint8_t*>(raw(codes)), reinterpret_cast<float*>(raw(absmax))};
  }

  void update(size_t i, const Stream& stream, const AdamWSettings& settings, BlockRange blocks) override {
    const TensorView p = store().value_of(tensor(i)), g = store().grad_of(tensor(i));
    const Places& at = places_[i];
    if (at.small)
      dispatch(stream,
               AdamWArgs{p, g, vector(at.m), vector(at.v), settings, rounding(i, settings.t), blocks});
    else
      dispatch(stream, AdamW8bitArgs{p, g, moment(at.m, at.m_absmax), moment(at.v, at.v_absmax), settings,
                                     rounding(i, settings.t), blocks});
  }

  std::vector<Places> places_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw_8bit(TrainableStore& store, const OptimizerOptions& options, bool dry) {
  return std::make_unique<AdamW8bit>(store, options, dry);
}

}  // namespace lorikeet
