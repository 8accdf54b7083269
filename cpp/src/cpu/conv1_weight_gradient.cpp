// conv1's weight gradient. Only the winner of each pool window has a gradient, and dead cells have none, so this is a
// sum over at most 49 of 196 positions: for each output channel, gradient * (5x5 window of the input at the winner).
//
// One row of a window over half of the input channels is 5 * 16 = 80 contiguous floats: the sums of a row, or of two
// where registers are wide, are held in registers while the winners of an image go by.
#include "kernel_functions.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kRow = kKernelSide * kHalf;
constexpr int kRowVectors = kRow / kLanes;
constexpr int kPlaneRow = kPlaneSide * kHalf;

// The winners of one output channel in one image: offsets of their windows in half a plane, and gradients.
struct Winners {
  int count;
  int offsets[kPool1Cells];
  float gradients[kPool1Cells];
};

void list_winners(const float* pooled_gradient, const uint8_t* codes, Winners& winners) {
  constexpr int kCodeOffset[] = {0, kHalf, kPlaneRow, kPlaneRow + kHalf, 0};
  int count = 0;
  for (int y = 0; y < kPool1Side; ++y) {
    for (int x = 0; x < kPool1Side; ++x) {
      const int cell = (y * kPool1Side + x) * kConv1Channels;
      winners.offsets[count] = 2 * y * kPlaneRow + 2 * x * kHalf + kCodeOffset[codes[cell]];
      winners.gradients[count] = pooled_gradient[cell];
      count += codes[cell] != kDead;
    }
  }
  winners.count = count;
}

// Adds to Rows rows of one filter.
template <int Rows>
MPSMNIST_INLINE void add_rows(const float* plane, const Winners& winners, float* filter) {
  Vec sums[Rows][kRowVectors];
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kRowVectors; ++v) sums[r][v] = load(filter + r * kRow + v * kLanes);
  }
  for (int i = 0; i < winners.count; ++i) {
    const float* window = plane + winners.offsets[i];
    const Vec gradient = splat(winners.gradients[i]);
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kRowVectors; ++v) sums[r][v] += gradient * load(window + r * kPlaneRow + v * kLanes);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kRowVectors; ++v) store(filter + r * kRow + v * kLanes, sums[r][v]);
  }
}

MPSMNIST_INLINE void add_filter(const float* plane, const Winners& winners, float* filter) {
  if constexpr (kLanes == 16) {
    add_rows<2>(plane, winners, filter);
    add_rows<3>(plane + 2 * kPlaneRow, winners, filter + 2 * kRow);
  } else {
    for (int ky = 0; ky < kKernelSide; ++ky) add_rows<1>(plane + ky * kPlaneRow, winners, filter + ky * kRow);
  }
}

}  // namespace

void conv1_weight_gradient(const float* planes, const float* pooled_gradient, const uint8_t* codes, int64_t n,
                           int first, int last, float* gradient, float* bias_gradient) {
  constexpr int kGroup = 16;
  Winners winners[kGroup];
  for (int begin = first; begin < last; begin += kGroup) {
    const int group = last - begin < kGroup ? last - begin : kGroup;
    memset(gradient + begin * kConv1Filter, 0, sizeof(float) * static_cast<size_t>(group * kConv1Filter));
    memset(bias_gradient + begin, 0, sizeof(float) * static_cast<size_t>(group));
    for (int64_t image = 0; image < n; ++image) {
      for (int c = 0; c < group; ++c) {
        list_winners(pooled_gradient + image * kFlat + begin + c, codes + image * kFlat + begin + c, winners[c]);
        float sum = 0;
        for (int i = 0; i < winners[c].count; ++i) sum += winners[c].gradients[i];
        bias_gradient[begin + c] += sum;
      }
      for (int half = 0; half < 2; ++half) {
        const float* plane = planes + image * kPlane + half * kHalfPlane;
        for (int c = 0; c < group; ++c) {
          add_filter(plane, winners[c], gradient + (begin + c) * kConv1Filter + half * kTaps * kHalf);
        }
      }
    }
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
