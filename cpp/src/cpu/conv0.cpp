// conv0 with its bias, ReLU and pool: (28,28) -> 5x5 SAME -> (28,28,32) -> (14,14,32), and its weight gradient.
//
// One input channel: too few for Winograd to pay, so both directions are direct. Pooling is fused into them: forward
// keeps the four outputs of a window in registers, and backward touches only the winner of each window.
#include "kernel_functions.h"
#include "update.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kPaddedSide = kImageSide + 2 * kPlaneBorder;

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

// kWindows neighbouring pool windows of one group of channels; `patch` is the 6x6 input of the first.
MPSMNIST_INLINE void convolve_windows(const float* patch, const float* weight, const float* bias, float* out,
                                      uint8_t* codes) {
  Vec sums[kWindows][4][kChannelVectors];
  for (int v = 0; v < kChannelVectors; ++v) {
    const Vec start = load(bias + v * kLanes);
    for (int w = 0; w < kWindows; ++w) {
      for (int i = 0; i < 4; ++i) sums[w][i][v] = start;
    }
  }
  for (int ky = 0; ky < kKernelSide; ++ky) {
    for (int kx = 0; kx < kKernelSide; ++kx) {
      const float* tap = weight + (ky * kKernelSide + kx) * kConv0Channels;
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
      store_bytes(codes + w * kConv0Channels + v * kLanes, best <= Vec{} ? IntVec{} + kDead : code);
      const int lane = v * kLanes;
      store(out + w * kHalf + lane / kHalf * kHalfPlane + lane % kHalf, relu(best));
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

void list_winners(const float* pooled_gradient, const uint8_t* codes, Winners& winners) {
  constexpr int kCodeOffset[] = {0, 1, kPaddedSide, kPaddedSide + 1, 0};
  int count = 0;
  for (int y = 0; y < kPool0Side; ++y) {
    for (int x = 0; x < kPool0Side; ++x) {
      const int cell = (y * kPool0Side + x) * kConv0Channels;
      winners.offsets[count] = 2 * y * kPaddedSide + 2 * x + kCodeOffset[codes[cell]];
      winners.gradients[count] = pooled_gradient[cell];
      count += codes[cell] != kDead;
    }
  }
  winners.count = count;
}

}  // namespace

void conv0_forward(const float* image, const float* weight, const float* bias, float* planes, uint8_t* codes) {
  const PaddedImage padded(image);
  for (int y = 0; y < kPool0Side; ++y) {
    for (int x = 0; x < kPool0Side; x += kWindows) {
      const float* patch = padded.pixels + 2 * y * kPaddedSide + 2 * x;
      float* out = planes + ((y + kPlaneBorder) * kPlaneSide + x + kPlaneBorder) * kHalf;
      for (int c = 0; c < kConv0Channels; c += kChannels) {
        convolve_windows(patch, weight + c, bias + c, out + c / kHalf * kHalfPlane + c % kHalf,
                         codes + (y * kPool0Side + x) * kConv0Channels + c);
      }
    }
  }
}

void conv0_weight_gradient(const float* image, const float* pooled_gradient, const uint8_t* codes, float* partial) {
  const PaddedImage padded(image);
  Winners winners;
  for (int c = 0; c < kConv0Channels; ++c) {
    list_winners(pooled_gradient + c, codes + c, winners);
    // Two sums for each row of the filter: even and odd winners. The list is padded with a winner of no weight.
    winners.offsets[winners.count] = 0;
    winners.gradients[winners.count] = 0;
    RowVec even[kKernelSide][kRowVectors] = {};
    RowVec odd[kKernelSide][kRowVectors] = {};
    float bias_gradient = 0;
    for (int i = 0; i < winners.count; i += 2) {
      add_patch(padded.pixels + winners.offsets[i], winners.gradients[i], even);
      add_patch(padded.pixels + winners.offsets[i + 1], winners.gradients[i + 1], odd);
      bias_gradient += winners.gradients[i] + winners.gradients[i + 1];
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
    partial[kConv0PartialBias + c] += bias_gradient;
  }
}

void conv0_reduce(const float* partials, int64_t count, const Sink& weight, const Sink& bias) {
  float sum[kConv0Partial] = {};
  for (int64_t p = 0; p < count; ++p) {
    for (int i = 0; i < kConv0Partial; i += kLanes)
      store(sum + i, load(sum + i) + load(partials + p * kConv0Partial + i));
  }
  for (int c = 0; c < kConv0Channels; ++c) {
    for (int tap = 0; tap < kTaps; ++tap) {
      const int from = (c * kKernelSide + tap / kKernelSide) * kConv0PartialRow + tap % kKernelSide;
      emit_one(weight, static_cast<size_t>(tap * kConv0Channels + c), sum[from]);
    }
    emit_one(bias, static_cast<size_t>(c), sum[kConv0PartialBias + c]);
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
