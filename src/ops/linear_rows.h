#pragma once
// Linear layers on plain rows: what the taped ops (ops/linear.h) and the code after the last block share.
#include <array>

#include "backend/args.h"
#include "backend/backend.h"
#include "ops/slots.h"

namespace lorikeet {

/// The tokens that the rows of a layer's input are, and what is drawn for them in this step.
struct RowDraws {
  const MicroBatch* batch = nullptr;
  DropoutKey dropout;
};

/// Whether the adapters of a group see their input with dropout.
bool drops(const LinearGroup& group, const RowDraws& draws);
/// The dropout of one slot's input, without the views.
DropoutArgs dropout_args(const LinearGroup& group, const LinearSlot& slot, const RowDraws& draws);

/// low = A x for the whole group; with dropout slot by slot, each from its own masked copy of x.
void low_rank_forward(const Stream& stream, const LinearGroup& group, TensorView low, TensorView x,
                      const RowDraws& draws);
/// y = residual + x W^T + bias + low (sB)^T, without DoRA.
void slot_forward(const Stream& stream, const LinearSlot& slot, TensorView y, TensorView x, TensorView low,
                  TensorView residual);

/// One view for each slot of a group.
using SlotViews = std::array<TensorView, 3>;

/// What forward keeps of a group beside its outputs.
struct GroupKept {
  TensorView low;  ///< A x of all slots
  SlotViews z;     ///< of the slots with DoRA
};
struct GroupGradients {
  SlotViews dy;             ///< of the slots' outputs
  bool own_dy = false;      ///< nobody reads them afterwards
  TensorView dx;            ///< optional; with dropout it may not be x
  bool accumulate = false;  ///< dx +=
};

/// Backward of a whole group; x is read only where something other than a bias learns.
void group_backward(const Stream& stream, const LinearGroup& group, TensorView x, const GroupKept& kept,
                    const GroupGradients& gradients, const RowDraws& draws);

}  // namespace lorikeet
