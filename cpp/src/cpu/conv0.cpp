// conv0 with its bias, ReLU and pool: (28,28) -> 5x5 SAME -> (28,28,32) -> (14,14,32), and its weight gradient.
//
// One input channel: too few for Winograd to pay, so both directions are direct. Pooling is fused into them: forward
// keeps the four outputs of a window in registers, and backward touches only the winner of each window. Half of the
// windows of a digit see nothing but blank paper: forward gives them the bias, and they add nothing to the weights'
// gradient.
#include "kernel_functions.h"
#include "update.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kPaddedSide = kImageSide + 2 * kPlaneBorder;
constexpr int kPatchSide = kKernelSide + 1;  // the input of a pool window

// Channels and windows computed at once: 4 outputs each, so 8 or 16 sums hide the latency of the multiply-adds.
constexpr int kChannelVectors = kLanes == 4 && kRegisters == 32 ? 4 : 2;
constexpr int kChannels = kChannelVectors * kLanes;
constexpr int kWindows = kLanes == 16 ? 2 : 1;

// The image with a border of zeros. Backward reads rows of 8 where 5 count, so the last row needs a little more.
struct PaddedImage {
  float pixels[kPaddedSide * kPaddedSide + kConv0PartialRow];

  explicit PaddedImage(const float* image) {
    memset(pixels, 0, sizeof pixels);
    for (int y = 0; y < kImageSide; ++y) {
      memcpy(pixels + (y + kPlaneBorder) * kPaddedSide + kPlaneBorder, image + y * kImageSide,
             kImageSide * sizeof(float));
    }
  }
};

// Which pool windows see only zeros: a bit for each column of a row of the pool, for their 6x6 inputs.
struct BlankWindows {
  uint16_t rows[kPool0Side];

  explicit BlankWindows(const PaddedImage& image) {
    uint32_t filled[kPaddedSide];  // a bit for each pixel
    static_assert(kPaddedSide == 32);
    for (int y = 0; y < kPaddedSide; ++y) {
      filled[y] = 0;
      for (int x = 0; x < kPaddedSide; ++x) {
        filled[y] |= static_cast<uint32_t>(image.pixels[y * kPaddedSide + x] != 0) << x;
      }
    }
    for (int y = 0; y < kPool0Side; ++y) {
      uint32_t any = 0;
      for (int ky = 0; ky < kPatchSide; ++ky) any |= filled[2 * y + ky];
      rows[y] = 0;
      for (int x = 0; x < kPool0Side; ++x) {
        const bool blank = (any >> 2 * x & ((1U << kPatchSide) - 1)) == 0;
        rows[y] = static_cast<uint16_t>(rows[y] | blank << x);
      }
    }
  }

  bool at(int y, int x) const { return rows[y] >> x & 1; }
};

// What a window gives that sees only zeros: the bias four times, of which the first wins.
MPSMNIST_INLINE void pool_blank_window(const float* bias, const Pooled& out) {
  for (int c = 0; c < kConv0Channels; c += kLanes) {
    const Vec value = load(bias + c);
    store_bytes(out.codes + c, value <= Vec{} ? IntVec{} + kDead : IntVec{});
    store(out.values + plane_channel(c), relu(value));
  }
}

// kWindows neighbouring pool windows of the kChannels channels from `first` on; `patch` is the 6x6 input of the first
// window, `out` its place.
MPSMNIST_INLINE void convolve_windows(const float* patch, const Layer& layer, int first, const Pooled& out) {
  Vec sums[kWindows][4][kChannelVectors];
  for (int v = 0; v < kChannelVectors; ++v) {
    const Vec start = load(layer.bias + first + v * kLanes);
    for (int w = 0; w < kWindows; ++w) {
      for (int i = 0; i < 4; ++i) sums[w][i][v] = start;
    }
  }
  for (int ky = 0; ky < kKernelSide; ++ky) {
    for (int kx = 0; kx < kKernelSide; ++kx) {
      const float* tap = layer.weight + (ky * kKernelSide + kx) * kConv0Channels + first;
      for (int w = 0; w < kWindows; ++w) {
        for (int i = 0; i < 4; ++i) {
          const Vec pixel = splat(patch[(ky + i / 2) * kPaddedSide + kx + i % 2 + 2 * w]);
          for (int v = 0; v < kChannelVectors; ++v) sums[w][i][v] += pixel * load(tap + v * kLanes);
        }
      }
    }
  }
  for (int w = 0; w < kWindows; ++w) {
    for (int v = 0; v < kChannelVectors; ++v) {
      Vec best = sums[w][0][v];
      IntVec code = {};
      for (int i = 1; i < 4; ++i) {
        const IntVec wins = sums[w][i][v] > best;
        best = wins ? sums[w][i][v] : best;
        code = wins ? IntVec{} + i : code;
      }
      const int c = first + v * kLanes;
      store_bytes(out.codes + w * kConv0Channels + c, best <= Vec{} ? IntVec{} + kDead : code);
      store(out.values + plane_pixel(0, w) + plane_channel(c), relu(best));
    }
  }
}

// A row of the filter, padded to 8: narrower than Vec where that has 16 lanes.
constexpr int kRowLanes = kLanes < kConv0PartialRow ? kLanes : kConv0PartialRow;
constexpr int kRowVectors = kConv0PartialRow / kRowLanes;
typedef float RowVec __attribute__((vector_size(4 * kRowLanes)));

// sums += gradient * the 5 rows of `patch`.
MPSMNIST_INLINE void add_patch(const float* patch, float gradient, RowVec sums[kKernelSide][kRowVectors]) {
  for (int ky = 0; ky < kKernelSide; ++ky) {
    for (int v = 0; v < kRowVectors; ++v) {
      RowVec pixels;
      memcpy(&pixels, patch + ky * kPaddedSide + v * kRowLanes, sizeof pixels);
      sums[ky][v] += (gradient - RowVec{}) * pixels;
    }
  }
}

// The winners of one channel: where their 5x5 inputs start in the padded image, and their gradients.
struct Winners {
  int count = 0;
  int offsets[kPool0Cells + 1];
  float gradients[kPool0Cells + 1];
};

// The windows that see anything: where they are in the pool, and where their inputs start in the padded image.
struct FilledWindows {
  int count = 0;
  int cells[kPool0Cells];
  int corners[kPool0Cells];

  explicit FilledWindows(const BlankWindows& blank) {
    for (int y = 0; y < kPool0Side; ++y) {
      for (int x = 0; x < kPool0Side; ++x) {
        if (blank.at(y, x)) continue;
        cells[count] = (y * kPool0Side + x) * kConv0Channels;
        corners[count++] = 2 * y * kPaddedSide + 2 * x;
      }
    }
  }
};

// The winners of channel `channel`.
void list_winners(const PooledGradient& pooled, int channel, const FilledWindows& filled, Winners& winners) {
  constexpr int kCodeOffset[] = {0, 1, kPaddedSide, kPaddedSide + 1, 0};
  int count = 0;
  for (int i = 0; i < filled.count; ++i) {
    const int at = filled.cells[i] + channel;
    const int code = pooled.codes[at];
    winners.offsets[count] = filled.corners[i] + kCodeOffset[code];
    winners.gradients[count] = pooled.values[at];
    count += code != kDead;
  }
  winners.count = count;
}

// Adds the gradients of all winners to those of the biases.
void add_bias_gradient(const PooledGradient& pooled, float* bias_gradient) {
  for (int c = 0; c < kConv0Channels; c += kLanes) {
    Vec sum = load(bias_gradient + c);
    for (int cell = c; cell < kPool0Size; cell += kConv0Channels) {
      sum += load_bytes(pooled.codes + cell) == kDead ? Vec{} : load(pooled.values + cell);
    }
    store(bias_gradient + c, sum);
  }
}

}  // namespace

void conv0_forward(const float* image, const Layer& layer, const Pooled& planes) {
  const PaddedImage padded(image);
  const BlankWindows blank(padded);
  for (int y = 0; y < kPool0Side; ++y) {
    for (int x = 0; x < kPool0Side; x += kWindows) {
      const float* patch = padded.pixels + 2 * y * kPaddedSide + 2 * x;
      float* values = planes.values + plane_pixel(y + kPlaneBorder, x + kPlaneBorder);
      uint8_t* codes = planes.codes + (y * kPool0Side + x) * kConv0Channels;
      if (blank.at(y, x) && blank.at(y, x + kWindows - 1)) {
        for (int w = 0; w < kWindows; ++w) {
          pool_blank_window(layer.bias, {values + plane_pixel(0, w), codes + w * kConv0Channels});
        }
        continue;
      }
      for (int c = 0; c < kConv0Channels; c += kChannels) convolve_windows(patch, layer, c, {values, codes});
    }
  }
}

void conv0_weight_gradient(const float* image, const PooledGradient& pooled, float* partial) {
  const PaddedImage padded(image);
  const FilledWindows filled{BlankWindows(padded)};
  Winners winners;
  for (int c = 0; c < kConv0Channels; ++c) {
    list_winners(pooled, c, filled, winners);
    // Two sums for each row of the filter: even and odd winners. The list is padded with a winner of no weight.
    winners.offsets[winners.count] = 0;
    winners.gradients[winners.count] = 0;
    RowVec even[kKernelSide][kRowVectors] = {};
    RowVec odd[kKernelSide][kRowVectors] = {};
    for (int i = 0; i < winners.count; i += 2) {
      add_patch(padded.pixels + winners.offsets[i], winners.gradients[i], even);
      add_patch(padded.pixels + winners.offsets[i + 1], winners.gradients[i + 1], odd);
    }
    float* row = partial + c * kKernelSide * kConv0PartialRow;
    for (int ky = 0; ky < kKernelSide; ++ky) {
      for (int v = 0; v < kRowVectors; ++v, row += kRowLanes) {
        RowVec sum;
        memcpy(&sum, row, sizeof sum);
        sum += even[ky][v] + odd[ky][v];
        memcpy(row, &sum, sizeof sum);
      }
    }
  }
  add_bias_gradient(pooled, partial + kConv0PartialBias);
}

void conv0_reduce(const float* partials, int64_t count, const LayerSink& sink) {
  float sum[kConv0Partial] = {};
  for (int64_t p = 0; p < count; ++p) {
    for (int i = 0; i < kConv0Partial; i += kLanes)
      store(sum + i, load(sum + i) + load(partials + p * kConv0Partial + i));
  }
  for (int c = 0; c < kConv0Channels; ++c) {
    for (int tap = 0; tap < kTaps; ++tap) {
      const int from = (c * kKernelSide + tap / kKernelSide) * kConv0PartialRow + tap % kKernelSide;
      emit(sink.weight, static_cast<size_t>(tap * kConv0Channels + c), sum[from]);
    }
    emit(sink.bias, static_cast<size_t>(c), sum[kConv0PartialBias + c]);
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
