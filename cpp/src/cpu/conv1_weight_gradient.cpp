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

// Lists the winners of the first `channels` channels of an image's pooled gradient, and adds their gradients to the
// biases'.
void list_winners(const PooledGradient& pooled, int channels, Winners* winners, float* bias_gradient) {
  constexpr int kCodeOffset[] = {plane_pixel(0, 0), plane_pixel(0, 1), plane_pixel(1, 0), plane_pixel(1, 1), 0};
  for (int c = 0; c < channels; ++c) winners[c].count = 0;
  for (int y = 0; y < kPool1Side; ++y) {
    for (int x = 0; x < kPool1Side; ++x) {
      const int cell = (y * kPool1Side + x) * kConv1Channels;
      const int corner = plane_pixel(2 * y, 2 * x);
      for (int c = 0; c < channels; ++c) {
        Winners& list = winners[c];
        const int code = pooled.codes[cell + c];
        list.offsets[list.count] = static_cast<uint16_t>(corner + kCodeOffset[code]);
        list.gradients[list.count] = pooled.values[cell + c];
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
  if (winners.count == 0) return;  // lets the loop be do-while: otherwise gcc spills the sums
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

// The pooled gradient of an image, from channel `first` on.
PooledGradient of_image(const PooledGradient& pooled, int64_t image, int first) {
  const int64_t at = image * kFlat + first;
  return {pooled.values + at, pooled.codes + at};
}

// Fetches the gradients and codes of 16 channels of an image.
void prefetch(const PooledGradient& pooled) {
  for (int cell = 0; cell < kPool1Cells; ++cell) {
    __builtin_prefetch(pooled.values + cell * kConv1Channels, 0, 2);
    __builtin_prefetch(pooled.codes + cell * kConv1Channels, 0, 2);
  }
}

// Adds one image's part to the filters [channels][2][25][16], one half of the planes after the other. `next` is what to
// fetch meanwhile: the planes of the next image.
void add_image(const float* planes, const float* next, const Winners* winners, int channels, float* filters) {
  for (int half = 0; half < kHalves; ++half) {
    const float* plane = planes + half * kHalfPlane;
    const float* after = half + 1 < kHalves ? plane + kHalfPlane : next;
    float* sums = filters + half * kHalfFilter;
    if constexpr (kLanes == 16) {
      add_rows_of_channels<2>(0, plane, after, winners, channels, sums);
      add_rows_of_channels<3>(2, plane, after, winners, channels, sums);
    } else {
      for (int row = 0; row < kKernelSide; ++row) {
        add_rows_of_channels<1>(row, plane, after, winners, channels, sums);
      }
    }
  }
}

}  // namespace

void conv1_weight_gradient(const float* planes, const PooledGradient& pooled, int64_t n, ChannelRange channels,
                           float* scratch, const LayerSink& sink) {
  constexpr int kGroup = 16;
  Winners winners[kGroup];
  float* filters = scratch;  // [kGroup][2][25][16]
  for (int first = channels.first; first < channels.last; first += kGroup) {
    const int group = channels.last - first < kGroup ? channels.last - first : kGroup;
    float biases[kGroup] = {};
    memset(filters, 0, sizeof(float) * static_cast<size_t>(group * kConv1Filter));
    for (int64_t image = 0; image < n; ++image) {
      const int64_t next = image + 1 < n ? image + 1 : image;
      if (next != image) prefetch(of_image(pooled, next, first));
      list_winners(of_image(pooled, image, first), group, winners, biases);
      add_image(planes + image * kPlane, planes + next * kPlane, winners, group, filters);
    }
    for (int i = 0; i < group * kConv1Filter; i += kLanes) {
      emit(sink.weight, static_cast<size_t>(first * kConv1Filter + i), load(filters + i));
    }
    for (int c = 0; c < group; ++c) emit(sink.bias, static_cast<size_t>(first + c), biases[c]);
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
