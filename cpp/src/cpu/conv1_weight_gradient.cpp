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

// Winners are added so many at a time, and lists padded to a multiple with winners of no weight.
constexpr int kTogether = 2;
constexpr int kMaxWinners = (kPool1Cells + kTogether - 1) / kTogether * kTogether;

// The winners of one output channel in one image: offsets of their windows in half a plane, and gradients.
struct Winners {
  int count;
  int offsets[kMaxWinners];
  float gradients[kMaxWinners];
};

// Lists the winners of `channels` neighbouring channels, and adds their gradients to the biases'.
void list_winners(const float* pooled_gradient, const uint8_t* codes, int channels, Winners* winners,
                  float* bias_gradient) {
  constexpr int kCodeOffset[] = {0, kHalf, kPlaneRow, kPlaneRow + kHalf, 0};
  for (int c = 0; c < channels; ++c) winners[c].count = 0;
  for (int y = 0; y < kPool1Side; ++y) {
    for (int x = 0; x < kPool1Side; ++x) {
      const int cell = (y * kPool1Side + x) * kConv1Channels;
      const int corner = 2 * y * kPlaneRow + 2 * x * kHalf;
      for (int c = 0; c < channels; ++c) {
        Winners& list = winners[c];
        const int code = codes[cell + c];
        list.offsets[list.count] = corner + kCodeOffset[code];
        list.gradients[list.count] = pooled_gradient[cell + c];
        list.count += code != kDead;
      }
    }
  }
  for (int c = 0; c < channels; ++c) {
    Winners& list = winners[c];
    float sum = 0;
    for (int i = 0; i < list.count; ++i) sum += list.gradients[i];
    bias_gradient[c] += sum;
    while (list.count % kTogether != 0) {
      list.offsets[list.count] = 0;
      list.gradients[list.count++] = 0;
    }
  }
}

// Adds to Rows rows of one filter.
template <int Rows>
MPSMNIST_INLINE void add_rows(const float* plane, const Winners& winners, float* filter) {
  Vec sums[Rows][kRowVectors];
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kRowVectors; ++v) sums[r][v] = load(filter + r * kRow + v * kLanes);
  }
  for (int first = 0; first < winners.count; first += kTogether) {
    for (int i = first; i < first + kTogether; ++i) {
      const float* window = in_register(plane + winners.offsets[i]);
      const Vec gradient = splat(winners.gradients[i]);
      for (int r = 0; r < Rows; ++r) {
        for (int v = 0; v < kRowVectors; ++v) sums[r][v] += gradient * load(window + r * kPlaneRow + v * kLanes);
      }
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
      const int64_t at = image * kFlat + begin;
      list_winners(pooled_gradient + at, codes + at, group, winners, bias_gradient + begin);
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
