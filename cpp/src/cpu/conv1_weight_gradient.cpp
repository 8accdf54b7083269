// conv1's weight gradient. Only the winner of each pool window has a gradient, and dead cells have none, so this is a
// sum over at most 49 of 196 positions: for each output channel, gradient * (5x5 window of the input at the winner).
//
// One row of a window over half of the input channels is 5 * 16 = 80 contiguous floats: the sums of a row, or of two
// where registers are wide, are held in registers while the winners of an image go by.
#include "kernel_functions.h"
#include "update.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kRow = kKernelSide * kHalf;
constexpr int kRowVectors = kRow / kLanes;

// The winners of one output channel in one image: offsets of their windows in half a plane, and gradients. Small, since
// those of 16 channels share L1 with that half and the filters.
struct Winners {
  int count;
  uint16_t offsets[kPool1Cells];
  float gradients[kPool1Cells];
};
static_assert(kHalfPlane <= UINT16_MAX);

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
        list.offsets[list.count] = static_cast<uint16_t>(corner + kCodeOffset[code]);
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
  }
}

// Adds to Rows rows of one filter.
template <int Rows>
MPSMNIST_INLINE void add_rows(const float* plane, const Winners& winners, float* filter) {
  if (winners.count == 0) return;  // so that the loop needs no way around it, for which gcc spills the sums
  Vec sums[Rows][kRowVectors];
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kRowVectors; ++v) sums[r][v] = load(filter + r * kRow + v * kLanes);
  }
  plane = in_register(plane);
  int i = 0;
  do {
    const float* window = in_register(plane + winners.offsets[i]);
    const Vec gradient = splat(winners.gradients[i]);
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kRowVectors; ++v) sums[r][v] += gradient * load(window + r * kPlaneRow + v * kLanes);
    }
  } while (++i < winners.count);
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kRowVectors; ++v) store(filter + r * kRow + v * kLanes, sums[r][v]);
  }
}

// Adds to Rows rows of the filters of `channels` neighbouring channels, and fetches the share of `next` that belongs to
// these rows: half of a plane in the course of a filter. One row for all channels before the next row: together they
// read only the part of the plane where that row of a window can lie, and find it in L1.
template <int Rows>
MPSMNIST_INLINE void add_rows_of_channels(int row, const float* plane, const float* next, const Winners* winners,
                                          int channels, float* filters) {
  const int lines = (kHalfPlane / kLine / kKernelSide * Rows + channels) / channels;
  next += row * (kHalfPlane / kKernelSide);
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < lines; ++i) __builtin_prefetch(next + (c * lines + i) * kLine, 0, 2);
    add_rows<Rows>(plane + row * kPlaneRow, winners[c], filters + c * kConv1Filter + row * kRow);
  }
}

// Fetches the gradients and codes of 16 channels of an image.
void prefetch_gradients(const float* pooled_gradient, const uint8_t* codes) {
  for (int cell = 0; cell < kPool1Cells; ++cell) {
    __builtin_prefetch(pooled_gradient + cell * kConv1Channels, 0, 2);
    __builtin_prefetch(codes + cell * kConv1Channels, 0, 2);
  }
}

}  // namespace

void conv1_weight_gradient(const float* planes, const float* pooled_gradient, const uint8_t* codes, int64_t n,
                           int first, int last, float* scratch, const Sink& weight, const Sink& bias) {
  constexpr int kGroup = 16;
  Winners winners[kGroup];
  for (int begin = first; begin < last; begin += kGroup) {
    const int group = last - begin < kGroup ? last - begin : kGroup;
    float* sums = scratch;
    float bias_sums[kGroup] = {};
    memset(sums, 0, sizeof(float) * static_cast<size_t>(group * kConv1Filter));
    for (int64_t image = 0; image < n; ++image) {
      const int64_t at = image * kFlat + begin;
      const bool is_last = image + 1 == n;
      if (!is_last) prefetch_gradients(pooled_gradient + at + kFlat, codes + at + kFlat);
      list_winners(pooled_gradient + at, codes + at, group, winners, bias_sums);
      for (int half = 0; half < 2; ++half) {
        const float* plane = planes + image * kPlane + half * kHalfPlane;
        const float* next = is_last && half == 1 ? plane : plane + kHalfPlane;
        float* filters = sums + half * kTaps * kHalf;
        if constexpr (kLanes == 16) {
          add_rows_of_channels<2>(0, plane, next, winners, group, filters);
          add_rows_of_channels<3>(2, plane, next, winners, group, filters);
        } else {
          for (int row = 0; row < kKernelSide; ++row) {
            add_rows_of_channels<1>(row, plane, next, winners, group, filters);
          }
        }
      }
    }
    for (int i = 0; i < group * kConv1Filter; i += kLanes) {
      emit(weight, static_cast<size_t>(begin * kConv1Filter + i), load(sums + i));
    }
    for (int c = 0; c < group; ++c) emit_one(bias, static_cast<size_t>(begin + c), bias_sums[c]);
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
