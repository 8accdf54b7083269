// fc0: hidden (n,1024) = relu(pooled (n,3136) * W + b), the layer with nearly all of the weights.
//
// ReLU leaves a quarter to three quarters of its inputs zero, and products with them are skipped: forward sums the rows
// of W that some image of a group of four wants, backward visits only the pairs (row, image) that are not zero.
// Backward computes the weight gradient and the data gradient of a pair together, since both want the same row of the
// hidden gradient in registers, and updates the row of W before leaving it: W is read once and written once. What it
// skips is exactly zero: the weight gradient has the factor 0, and the data gradient of a zero input ends at conv1's
// ReLU.
#include "kernel_functions.h"
#include "update.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kCellChannels = kConv1Channels;
constexpr int kTile = kCellChannels * kPanel;  // 64 rows of a panel, 16 KB: what forward keeps in L1
constexpr int kLine = 16;                      // floats in a cache line

// Columns of a panel summed at once for a group of images: 8 sums in 16 registers, 16 in 32, as nearly as they divide.
template <int Images>
constexpr int kForwardVectors = (kRegisters == 16 ? 8 : 16) / (Images == 3 ? 4 : Images) < kPanel / kLanes
                                    ? (kRegisters == 16 ? 8 : 16) / (Images == 3 ? 4 : Images)
                                    : kPanel / kLanes;

// sums [Images][64] += the listed rows of `tile`, each times the values of the images.
template <int Images>
MPSMNIST_INLINE void add_active_rows(const float* tile, const uint8_t* channels, int count, const float* values,
                                     float* sums) {
  constexpr int kVectors = kForwardVectors<Images>;
  for (int column = 0; column < kPanel; column += kVectors * kLanes) {
    Vec block[Images][kVectors] = {};
    for (int i = 0; i < count; ++i) {
      const float* row = tile + channels[i] * kPanel + column;
      for (int image = 0; image < Images; ++image) {
        const Vec value = splat(values[i * kFc0Group + image]);
        for (int v = 0; v < kVectors; ++v) block[image][v] += value * load(row + v * kLanes);
      }
    }
    for (int image = 0; image < Images; ++image) {
      float* to = sums + image * kPanel + column;
      for (int v = 0; v < kVectors; ++v) store(to + v * kLanes, load(to + v * kLanes) + block[image][v]);
    }
  }
}

// Backward works on this many images at a time, so that what it needs of them stays in L1.
constexpr int kChunk = 32;
// Vectors of the weight gradient held in registers at once: half of the registers, at most a panel.
constexpr int kBackwardVectors = kPanel / kLanes < kRegisters / 2 ? kPanel / kLanes : kRegisters / 2;
constexpr int kBackwardColumns = kBackwardVectors * kLanes;

// The images of a chunk whose input `row` is not zero.
struct ActiveImages {
  int count;
  int64_t images[kChunk];
  float inputs[kChunk];
};

void list_active_images(const float* pooled, int row, int images, ActiveImages* active) {
  for (int r = 0; r < kFc0Rows; ++r) active[r].count = 0;
  for (int image = 0; image < images; ++image) {
    const float* inputs = pooled + static_cast<int64_t>(image) * kFlat + row;
    for (int r = 0; r < kFc0Rows; ++r) {
      ActiveImages& list = active[r];
      list.images[list.count] = image;
      list.inputs[list.count] = inputs[r];
      list.count += inputs[r] != 0;
    }
  }
}

MPSMNIST_INLINE void prefetch_for_writing(const float* from) {
  for (int i = 0; i < kBackwardColumns; i += kLine) __builtin_prefetch(from + i, 1, 2);
}

// For each listed image i: dots[i] += weight . hidden_gradient[i], and gradient += input[i] * hidden_gradient[i]. Two
// sums for a dot product, since its additions depend on each other.
MPSMNIST_INLINE void visit_pairs(const ActiveImages& active, const float* weight, const float* hidden_gradient,
                                 Vec* gradient, float* dots) {
  for (int i = 0; i < active.count; ++i) {
    const float* from = hidden_gradient + active.images[i] * kPanel;
    const Vec input = splat(active.inputs[i]);
    Vec even = load(dots + i * kLanes);
    Vec odd = {};
    for (int v = 0; v < kBackwardVectors; v += 2) {
      const Vec value0 = load(from + v * kLanes);
      const Vec value1 = load(from + (v + 1) * kLanes);
      even += load(weight + v * kLanes) * value0;
      odd += load(weight + (v + 1) * kLanes) * value1;
      gradient[v] += input * value0;
      gradient[v + 1] += input * value1;
    }
    store(dots + i * kLanes, even + odd);
  }
}

}  // namespace

void fc0_list_active(const float* pooled, int images, int64_t group, const ActiveInputs& active) {
  for (int cell = 0; cell < kPool1Cells; ++cell) {
    const int64_t at = group * kPool1Cells + cell;
    uint8_t* channels = active.channels + at * kCellChannels;
    float* values = active.values + at * kCellChannels * kFc0Group;
    int count = 0;
    for (int c = 0; c < kCellChannels; ++c) {
      bool any = false;
      for (int image = 0; image < kFc0Group; ++image) {
        const float value = image < images ? pooled[image * kFlat + cell * kCellChannels + c] : 0;
        values[count * kFc0Group + image] = value;
        any |= value != 0;
      }
      channels[count] = static_cast<uint8_t>(c);
      count += any;
    }
    active.counts[at] = static_cast<uint8_t>(count);
  }
}

void fc0_forward(const ActiveInputs& active, const float* weight, const float* bias, int64_t n, int panel,
                 int64_t first, int64_t last, float* hidden) {
  const float* tile = weight + static_cast<size_t>(panel) * kFlat * kPanel;
  float* sums = hidden + panel * n * kPanel;
  const int64_t last_image = last * kFc0Group < n ? last * kFc0Group : n;
  for (int64_t image = first * kFc0Group; image < last_image; ++image) {
    memcpy(sums + image * kPanel, bias + panel * kPanel, kPanel * sizeof(float));
  }
  const int64_t prefetch = (kTile / kLine + last - first - 1) / (last - first);
  for (int cell = 0; cell < kPool1Cells; ++cell, tile += kTile) {
    for (int64_t group = first; group < last; ++group) {
      // Each group fetches its share of the next tile, so that it has arrived when it is wanted.
      const float* next = tile + kTile + (group - first) * prefetch * kLine;
      if (cell + 1 < kPool1Cells) {
        for (int64_t line = 0; line < prefetch; ++line) __builtin_prefetch(next + line * kLine, 0, 2);
      }
      const int64_t at = group * kPool1Cells + cell;
      const uint8_t* channels = active.channels + at * kCellChannels;
      const float* values = active.values + at * kCellChannels * kFc0Group;
      float* to = sums + group * kFc0Group * kPanel;
      switch (n - group * kFc0Group) {
        case 1:
          add_active_rows<1>(tile, channels, active.counts[at], values, to);
          break;
        case 2:
          add_active_rows<2>(tile, channels, active.counts[at], values, to);
          break;
        case 3:
          add_active_rows<3>(tile, channels, active.counts[at], values, to);
          break;
        default:
          add_active_rows<kFc0Group>(tile, channels, active.counts[at], values, to);
      }
    }
  }
  for (int64_t i = first * kFc0Group * kPanel; i < last_image * kPanel; i += kLanes)
    store(sums + i, relu(load(sums + i)));
}

void fc0_backward(const float* pooled, const float* weight, const float* hidden_gradient, int64_t n, int row,
                  float* scratch, float* pooled_gradient, const Sink& sink) {
  ActiveImages active[kFc0Rows];
  float* dots = scratch;                                  // [rows][kChunk][kLanes]
  float* partial = scratch + kFc0Rows * kChunk * kLanes;  // [1024/columns][rows][columns], if there are several chunks
  for (int64_t first = 0; first < n; first += kChunk) {
    const int images = static_cast<int>(n - first < kChunk ? n - first : kChunk);
    const bool last_chunk = first + kChunk >= n;
    list_active_images(pooled + first * kFlat, row, images, active);
    memset(dots, 0, sizeof(float) * kFc0Rows * kChunk * kLanes);
    for (int column = 0; column < kHidden; column += kBackwardColumns) {
      const int panel = column / kPanel;
      const float* gradients = hidden_gradient + (panel * n + first) * kPanel + column % kPanel;
      for (int r = 0; r < kFc0Rows; ++r) {
        const size_t at = (static_cast<size_t>(panel) * kFlat + static_cast<size_t>(row + r)) * kPanel +
                          static_cast<size_t>(column % kPanel);
        float* kept = partial + (column * kFc0Rows + r * kBackwardColumns);
        Vec gradient[kBackwardVectors] = {};
        if (first > 0) {
          for (int v = 0; v < kBackwardVectors; ++v) gradient[v] = load(kept + v * kLanes);
        }
        // The same rows of the next panel are a long way off: fetch them now, to be written.
        if (panel + 1 < kPanels) prefetch_for_writing(weight + at + kFlat * kPanel);
        visit_pairs(active[r], weight + at, gradients, gradient, dots + r * kChunk * kLanes);
        for (int v = 0; v < kBackwardVectors; ++v) {
          if (last_chunk) {
            emit(sink, at + static_cast<size_t>(v * kLanes), gradient[v]);
          } else {
            store(kept + v * kLanes, gradient[v]);
          }
        }
      }
    }
    for (int r = 0; r < kFc0Rows; ++r) {
      for (int i = 0; i < active[r].count; ++i) {
        pooled_gradient[(first + active[r].images[i]) * kFlat + row + r] =
            sum_lanes(load(dots + (r * kChunk + i) * kLanes));
      }
    }
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
