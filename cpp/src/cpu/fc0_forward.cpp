// fc0 forward: hidden (n,1024) = relu(pooled (n,3136) * W + b), the layer with nearly all of the weights.
//
// ReLU leaves a quarter to three quarters of its inputs zero, and products with them are skipped: for a pair of images,
// the rows of W are summed whose input is not zero for one or both (fc0_list_active lists them).
//
// The kernel is limited by loads as much as by arithmetic: a row of W is multiplied with both images, so that it loads
// less than one vector for each multiply-add.
#include "kernel_functions.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kCellChannels = kConv1Channels;
constexpr int kTile = kCellChannels * kPanel;  // 64 rows of a panel, 16 KB: what forward keeps in L1
constexpr int kPanelVectors = kPanel / kLanes;

// Columns of a panel summed at once for a group of images: 8 sums in 16 registers, 16 in 32, at most a panel.
template <int Images>
constexpr int kForwardVectors = kRegisters / 2 / Images < kPanelVectors ? kRegisters / 2 / Images : kPanelVectors;

// Cache lines to fetch while there is other work to do, one by one: a burst of misses would hold up that work.
struct Fetch {
  const float* next;
  const float* end;

  MPSMNIST_INLINE void one_line() {
    if (next >= end) return;
    __builtin_prefetch(next, 0, 3);
    next += kLine;
  }
};

// sums [Images][64] += the listed rows of `tile`, each times the values of the images.
template <int Images>
MPSMNIST_INLINE void add_active_rows(const float* tile, const uint8_t* channels, int count, const float* values,
                                     float* sums, Fetch& fetch) {
  constexpr int kVectors = kForwardVectors<Images>;
  for (int column = 0; column < kPanel; column += kVectors * kLanes) {
    Vec block[Images][kVectors] = {};
    for (int i = 0; i < count; ++i) {
      fetch.one_line();
      const float* row = tile + channels[i] * kPanel + column;
      Vec value[Images];
      for (int image = 0; image < Images; ++image) value[image] = splat(values[i * kFc0Group + image]);
      for (int v = 0; v < kVectors; ++v) {
        const Vec weights = in_register(load(row + v * kLanes));
        for (int image = 0; image < Images; ++image) block[image][v] += value[image] * weights;
      }
    }
    for (int image = 0; image < Images; ++image) {
      float* to = sums + image * kPanel + column;
      for (int v = 0; v < kVectors; ++v) store(to + v * kLanes, load(to + v * kLanes) + block[image][v]);
    }
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

void fc0_forward(const ActiveInputs& active, const Layer& layer, const ImageRange& images, int panel, float* hidden) {
  const float* tile = layer.weight + panel * kPanelFloats;
  float* sums = hidden + panel * images.n * kPanel;
  for (int64_t image = images.first; image < images.last; ++image) {
    memcpy(sums + image * kPanel, layer.bias + panel * kPanel, kPanel * sizeof(float));
  }
  const int64_t first = images.first / kFc0Group;
  const int64_t last = (images.last + kFc0Group - 1) / kFc0Group;
  for (int cell = 0; cell < kPool1Cells; ++cell, tile += kTile) {
    // Each group fetches its share of the next tile, so that it has arrived when it is wanted.
    Fetch fetch{.next = tile + kTile, .end = tile + kTile};
    for (int64_t group = first; group < last; ++group) {
      if (cell + 1 < kPool1Cells) fetch.end = tile + kTile + kTile * (group + 1 - first) / (last - first);
      const int64_t at = group * kPool1Cells + cell;
      const uint8_t* channels = active.channels + at * kCellChannels;
      const float* values = active.values + at * kCellChannels * kFc0Group;
      float* to = sums + group * kFc0Group * kPanel;
      if (images.last - group * kFc0Group == 1) {
        add_active_rows<1>(tile, channels, active.counts[at], values, to, fetch);
      } else {
        add_active_rows<kFc0Group>(tile, channels, active.counts[at], values, to, fetch);
      }
      while (fetch.next < fetch.end) fetch.one_line();
    }
  }
  for (int64_t i = images.first * kPanel; i < images.last * kPanel; i += kLanes) store(sums + i, relu(load(sums + i)));
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
