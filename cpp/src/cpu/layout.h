// How the CPU engine arranges activations and weights, so that its innermost loops read and write whole vectors.
//
// Activations:
//   planes   [n][2][19][19][16]  the output of conv0 and its pool, input of conv1: channels in two halves, each plane
//                                with zeros around the 14x14 pixels. Half of an image (23 KB) stays in L1.
//   codes    [..][channels]      which of a 2x2 window won, in row-major order 0..3; kDead if ReLU let nothing through
//   pooled   [n][49][64]         the output of conv1 and its pool, in NHWC order: the input of fc0, (n,3136)
//   hidden   [16][n][64]         the output of fc0 in panels of 64 columns; its gradient too
// Weights:
//   conv0    [25][32]            as in the flat order
//   conv1    [64][2][25][16]     output channel, half of the input channels, tap, input channel
//   fc0      [16][3136][64]      panels of 64 columns
//   fc1      [C][1024]           transposed
#pragma once

#include <cstddef>
#include <cstdint>

#include "model.h"

namespace mpsmnist::cpu {

inline constexpr int kLine = 16;  // floats in a cache line

/// What a code says where ReLU let nothing through; the winners are 0..3.
inline constexpr std::uint8_t kDead = 4;

inline constexpr int kTaps = kKernelSide * kKernelSide;
inline constexpr int kPool0Cells = kPool0Side * kPool0Side;
inline constexpr int kPool0Size = kPool0Cells * kConv0Channels;
inline constexpr int kPool1Cells = kPool1Side * kPool1Side;
static_assert(kPool1Cells * kConv1Channels == kFlat);

// Winograd's F(5x5,5x5) (winograd.h): a tile of 5x5 outputs of conv1 takes 9x9 inputs to 81 products, the
// "frequencies", and 3x3 tiles cover its 14x14 outputs with one row and column left over.
inline constexpr int kTileOut = 5;
inline constexpr int kTileIn = kTileOut + kKernelSide - 1;
inline constexpr int kFrequencies = kTileIn * kTileIn;
inline constexpr int kTilesPerRow = (kPool0Side + kTileOut - 1) / kTileOut;
inline constexpr int kTilesPerImage = kTilesPerRow * kTilesPerRow;
inline constexpr int kTiledSide = kTilesPerRow * kTileOut;
static_assert(kTileIn == 9 && kFrequencies == 81 && kTilesPerRow == 3 && kTiledSide == 15);

// A plane holds the inputs of all tiles: the 14x14 pixels, a border of 2 for the SAME convolution, and one more row and
// column of zeros below and to the right, for the outputs left over.
inline constexpr int kPlaneBorder = kKernelSide / 2;
inline constexpr int kPlaneSide = kTiledSide + kKernelSide - 1;
inline constexpr int kHalf = 16;  // channels in half of a plane
inline constexpr int kHalves = kConv0Channels / kHalf;
inline constexpr int kPlaneRow = kPlaneSide * kHalf;
inline constexpr int kHalfPlane = kPlaneSide * kPlaneRow;
inline constexpr int kPlane = kHalves * kHalfPlane;
static_assert(kPlaneSide == 19 && kPlaneSide >= kPool0Side + 2 * kPlaneBorder);

/// Where a pixel is in half of a plane, border included, and where a channel is in a plane, relative to channel 0.
constexpr int plane_pixel(int y, int x) { return y * kPlaneRow + x * kHalf; }
constexpr int plane_channel(int c) { return c / kHalf * kHalfPlane + c % kHalf; }

/// One output channel of conv1's weights, [2][25][16], and one half of it.
inline constexpr int kHalfFilter = kTaps * kHalf;
inline constexpr int kConv1Filter = kHalves * kHalfFilter;

/// Columns of fc0 that lie together.
inline constexpr int kPanel = 64;
inline constexpr int kPanels = kHidden / kPanel;
/// Floats in a panel of fc0's weights.
inline constexpr int kPanelFloats = kFlat * kPanel;

}  // namespace mpsmnist::cpu
