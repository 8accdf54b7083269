// The matrix products of conv1's frequencies: small and of known sizes, so the sums stay in registers.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

/// sums[Rows][..] = a[Rows][K] * b[K][N], for some of the N columns, with the sums in registers. Rows of sums are
/// `Stride` apart.
template <int K, int N, int Stride, int Rows, int ColumnVectors>
MPSMNIST_INLINE void multiply_block(const float* a, const float* b, float* sums) {
  Vec block[Rows][ColumnVectors] = {};
  for (int k = 0; k < K; ++k) {
    for (int r = 0; r < Rows; ++r) {
      const Vec left = splat(a[r * K + k]);
      for (int v = 0; v < ColumnVectors; ++v) block[r][v] += left * load(b + k * N + v * kLanes);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < ColumnVectors; ++v) store(sums + r * Stride + v * kLanes, block[r][v]);
  }
}

/// sums[rows][N] = a[rows][K] * b[K][N], for the rows of one or two images. At least 8 registers of sums hide the
/// latency of the multiply-adds; 16 registers hold 6 x 2 of them with their operands, 32 hold 6 x 4 or 9 x 2.
template <int K, int N, int Stride>
MPSMNIST_INLINE void multiply(const float* a, const float* b, int rows, float* sums) {
  static_assert(kMaxBlock == 2 && kTilesPerImage == 9, "the rows below are those of one image or of two");
  constexpr int kColumnVectors = kRegisters == 32 && N / kLanes >= 4 ? 4 : 2;
  for (int column = 0; column < N; column += kColumnVectors * kLanes) {
    const float* right = b + column;
    float* to = sums + column;
    if constexpr (kRegisters == 32 && kColumnVectors == 2) {
      for (int row = 0; row < rows; row += kTilesPerImage) {
        multiply_block<K, N, Stride, kTilesPerImage, kColumnVectors>(a + row * K, right, to + row * Stride);
      }
    } else if (rows == 2 * kTilesPerImage) {
      for (int row = 0; row < rows; row += 6) {
        multiply_block<K, N, Stride, 6, kColumnVectors>(a + row * K, right, to + row * Stride);
      }
    } else {
      multiply_block<K, N, Stride, 5, kColumnVectors>(a, right, to);
      multiply_block<K, N, Stride, 4, kColumnVectors>(a + 5 * K, right, to + 5 * Stride);
    }
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
