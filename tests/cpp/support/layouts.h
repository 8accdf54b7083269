// Where the kernels' layouts (cpp/src/cpu/kernels.h) keep what the natural ones (NHWC, HWIO) keep in order.
#pragma once

#include <cstddef>
#include <vector>

#include "cpu/kernels.h"

namespace mpsmnist::test {

using namespace cpu;  // NOLINT: the layouts' constants

/// A pixel of pool0's output (14,14,32) -> planes [2][19][19][16] with zero borders.
inline std::size_t plane_index(int y, int x, int channel) {
  const int row = (y + kPlaneBorder) * kPlaneSide + x + kPlaneBorder;
  return static_cast<std::size_t>(channel / kHalf * kHalfPlane + row * kHalf + channel % kHalf);
}

/// Calls visit(index in (14,14,32), index in the planes).
template <typename Visit>
void for_each_pool0(Visit visit) {
  for (int i = 0; i < kPool0Size; ++i) {
    const int cell = i / kConv0Channels;
    visit(static_cast<std::size_t>(i), plane_index(cell / kPool0Side, cell % kPool0Side, i % kConv0Channels));
  }
}

/// conv1's weights (5,5,32,64) -> [64][2][25][16].
inline std::size_t conv1_index(std::size_t hwio) {
  const std::size_t out = hwio % kConv1Channels;
  const std::size_t in = hwio / kConv1Channels % kConv0Channels;
  const std::size_t tap = hwio / kConv1Channels / kConv0Channels;
  return out * kConv1Filter + (in / kHalf * kTaps + tap) * kHalf + in % kHalf;
}

/// fc0's weights (3136,1024) -> [16][3136][64].
inline std::size_t fc0_index(std::size_t row, std::size_t column) {
  return (column / kPanel * kFlat + row) * kPanel + column % kPanel;
}

/// fc1's weights (1024,C) -> [C][1024].
inline std::size_t fc1_index(std::size_t io, std::size_t num_classes) {
  return io % num_classes * kHidden + io / num_classes;
}

/// hidden (n,1024) -> [16][n][64].
inline std::size_t hidden_index(std::size_t image, std::size_t column, std::size_t n) {
  return (column / kPanel * n + image) * kPanel + column % kPanel;
}

inline std::vector<float> to_panels(const std::vector<float>& rows, std::size_t n) {
  std::vector<float> panels(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) panels[hidden_index(i / kHidden, i % kHidden, n)] = rows[i];
  return panels;
}

inline std::vector<float> from_panels(const std::vector<float>& panels, std::size_t n) {
  std::vector<float> rows(panels.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = panels[hidden_index(i / kHidden, i % kHidden, n)];
  return rows;
}

}  // namespace mpsmnist::test
