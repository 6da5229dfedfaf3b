#pragma once
#include <string>
#include <vector>

#include "lorikeet/trainer.h"

namespace lorikeet::cli {

/// A tokenized row with its targets between ▌ and ▐, and in colour where `colour`. Line breaks show as ⏎,
/// other control characters as \xNN. Stretches longer than `most` characters keep their two ends; 0:
/// everything is shown.
std::string marked_text(const std::vector<PreviewPiece>& pieces, bool colour, int most);

}  // namespace lorikeet::cli
