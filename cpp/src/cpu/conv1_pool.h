// Bias, ReLU and pool of conv1, forward and backward. Close decisions are recomputed with plain sums.
//
// Winograd's outputs err by a few 1e-6 (see winograd.h). That is harmless in the values, but it can change decisions:
// which of two nearly equal outputs wins a pool window, and whether ReLU lets an output near zero through. The other
// decision sends a whole gradient elsewhere, and training amplifies that: without the recomputation, seven of ten runs
// of five steps had losses more than 1e-5 away from those of float64; with it one did, as with PyTorch's convolutions.
#pragma once

#include "kernels.h"
#include "simd.h"
#include "winograd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

/// The outputs of the nine tiles of kLanes channels of an image before the bias, or their gradients: 15x15, of which
/// the last row and column are left over.
struct Outputs {
  Vec values[kTiledSide * kTiledSide];

  MPSMNIST_INLINE Vec& at(int y, int x) { return values[y * kTiledSide + x]; }
  MPSMNIST_INLINE const Vec& at(int y, int x) const { return values[y * kTiledSide + x]; }
  /// The first of the 5x5 outputs of a tile, whose rows are kTiledSide apart.
  MPSMNIST_INLINE Vec* tile(int t) { return &at(t / kTilesPerRow * kTileOut, t % kTilesPerRow * kTileOut); }
};

/// A decision is close if its margin is below this fraction of the largest output of its image and channel. The error
/// of 70,000 such outputs, of MNIST digits in training, was above a quarter of it three times and never above six
/// tenths.
inline constexpr float kClose = 1.0F / (1 << 15);

/// Which positions of the pool windows of an image see the same input as an earlier position of their window: blank
/// paper, for half of the windows of a digit. Their sums are equal, so the earlier one wins, without recomputation.
struct Repeats {
  /// Where a position repeats, minus infinity, so that it cannot win; else infinity.
  float limit[kPool1Cells][4];
};

/// Whether two pixels differ in any channel.
inline bool differ(const float* a, const float* b) {
  IntVec different = {};
  for (int c = 0; c < kHalf; c += kLanes) {
    different |= load(a + c) != load(b + c);
    different |= load(a + kHalfPlane + c) != load(b + kHalfPlane + c);
  }
  return any(different);
}

/// Where the pixels of a plane differ from their neighbours: a bit for each column of a row.
struct Differences {
  uint32_t right[kPlaneSide - 1];  // from the pixel to the right
  uint32_t below[kPlaneSide - 1];  // from the pixel below

  explicit Differences(const float* planes) {
    for (int y = 0; y < kPlaneSide - 1; ++y) {
      right[y] = below[y] = 0;
      for (int x = 0; x < kPlaneSide - 1; ++x) {
        const float* pixel = planes + plane_pixel(y, x);
        right[y] |= static_cast<uint32_t>(differ(pixel, pixel + plane_pixel(0, 1))) << x;
        below[y] |= static_cast<uint32_t>(differ(pixel, pixel + plane_pixel(1, 0))) << x;
      }
    }
  }
};

/// The union of the rows that the filter covers, and the columns that it covers.
inline uint32_t in_filter_rows(const uint32_t* rows) {
  uint32_t any = 0;
  for (int ky = 0; ky < kKernelSide; ++ky) any |= rows[ky];
  return any;
}
inline constexpr uint32_t kFilterColumns = (1U << kKernelSide) - 1;

/// What repeats in the planes of an image.
inline Repeats find_repeats(const float* planes) {
  const Differences differences(planes);
  Repeats repeats;
  for (int y = 0; y < kPool1Side; ++y) {
    // Between the left and right positions of the upper and of the lower row of the windows, and between the rows.
    const uint32_t upper = in_filter_rows(differences.right + 2 * y);
    const uint32_t lower = in_filter_rows(differences.right + 2 * y + 1);
    const uint32_t rows = in_filter_rows(differences.below + 2 * y);
    for (int x = 0; x < kPool1Side; ++x) {
      const auto none = [x](uint32_t bits, int column) { return (bits >> (2 * x + column) & kFilterColumns) == 0; };
      const bool same_as_earlier[4] = {false, none(upper, 0), none(rows, 0), none(lower, 0) || none(rows, 1)};
      for (int i = 0; i < 4; ++i) {
        repeats.limit[y * kPool1Side + x][i] = same_as_earlier[i] ? -__builtin_inff() : __builtin_inff();
      }
    }
  }
  return repeats;
}

/// The largest magnitude of each channel.
MPSMNIST_INLINE Vec largest(const Outputs& outputs) {
  Vec high = {};
  Vec low = {};
  for (int y = 0; y < kPool0Side; ++y) {
    for (int x = 0; x < kPool0Side; ++x) {
      const Vec output = outputs.at(y, x);
      high = output > high ? output : high;
      low = output < low ? output : low;
    }
  }
  return high > -low ? high : -low;
}

/// Bias, ReLU and pool of kLanes channels of an image.
class Pool1 {
 public:
  /// `filters` are those of the channels, for plain sums over the image's planes where a decision is close.
  MPSMNIST_INLINE Pool1(const Outputs& outputs, const float* planes, const float* filters, Vec bias)
      : outputs_(outputs), planes_(planes), filters_(filters), bias_(bias), margin_(kClose * largest(outputs)) {}

  /// One 2x2 window, to one cell of the output. `limit` are the cell's Repeats.
  MPSMNIST_INLINE void window(int cell, const float* limit, const Pooled& out) const {
    const int y = cell / kPool1Side * 2;
    const int x = cell % kPool1Side * 2;
    Window window = {{outputs_.at(y, x)}, outputs_.at(y, x), {}};
    Vec second = splat(-__builtin_inff());
    for (int i = 1; i < 4; ++i) {
      const Vec most = splat(limit[i]);
      const Vec output = outputs_.at(y + i / 2, x + i % 2);
      const Vec value = window.values[i] = output > most ? most : output;
      const IntVec wins = value > window.best;
      const Vec loser = wins ? window.best : value;
      second = loser > second ? loser : second;
      window.best = wins ? value : window.best;
      window.code = wins ? IntVec{} + i : window.code;
    }
    const Vec result = window.best + bias_;
    const IntVec close = (result > -margin_) & ((result < margin_) | (window.best - second < margin_));
    if (any(close)) decide_again(planes_ + plane_pixel(y, x), close, window);
    const Vec biased = window.best + bias_;
    store_bytes(out.codes, biased <= Vec{} ? IntVec{} + kDead : window.code);
    store(out.values, relu(biased));
  }

 private:
  struct Window {
    Vec values[4];
    Vec best;
    IntVec code;  // which is the best
  };

  // `patch` is the 6x6 input of the window. Not inlined: it is rare.
  __attribute__((noinline)) void decide_again(const float* patch, const IntVec& close, Window& window) const {
    for (int lane = 0; lane < kLanes; ++lane) {
      if (close[lane] == 0) continue;
      const float least = window.best[lane] - margin_[lane];
      bool first = true;
      for (int i = 0; i < 4; ++i) {
        if (window.values[i][lane] < least) continue;
        const float value = sum(patch + plane_pixel(i / 2, i % 2), filters_ + lane * kConv1Filter);
        if (first || value > window.best[lane]) {
          window.best[lane] = value;
          window.code[lane] = i;
        }
        first = false;
      }
    }
  }

  // One output by its definition, from its 5x5 inputs.
  static float sum(const float* patch, const float* filter) {
    // The halves in turn: sums that are independent hide the latency of the multiply-adds.
    Vec sums[kHalves][kHalf / kLanes] = {};
    for (int tap = 0; tap < kTaps; ++tap) {
      const float* pixel = patch + plane_pixel(tap / kKernelSide, tap % kKernelSide);
      for (int half = 0; half < kHalves; ++half) {
        for (int c = 0; c < kHalf; c += kLanes) {
          sums[half][c / kLanes] +=
              load(pixel + half * kHalfPlane + c) * load(filter + half * kHalfFilter + tap * kHalf + c);
        }
      }
    }
    static_assert(kHalves == 2);
    Vec total = {};
    for (int v = 0; v < kHalf / kLanes; ++v) total += sums[0][v] + sums[1][v];
    return sum_lanes(total);
  }

  const Outputs& outputs_;
  const float* planes_;
  const float* filters_;
  Vec bias_;
  Vec margin_;
};

/// The gradient of a cell's 2x2 window: the cell's at the winner, zero elsewhere.
MPSMNIST_INLINE void expand_window(const PooledGradient& pooled, int cell, Outputs& out) {
  const Vec gradient = load(pooled.values);
  const IntVec code = load_bytes(pooled.codes);
  const int y = cell / kPool1Side * 2;
  const int x = cell % kPool1Side * 2;
  for (int i = 0; i < 4; ++i) out.at(y + i / 2, x + i % 2) = code == i ? gradient : Vec{};
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
