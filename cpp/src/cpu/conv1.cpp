// conv1 with its bias, ReLU and pool, forward and data gradient, by Winograd F(5x5,5x5): (14,14,32) -> 5x5 SAME
// -> (14,14,64) -> (7,7,64). The weight gradient is in conv1_weight_gradient.cpp.
//
// Forward: each 9x9 input tile is transformed to 81 frequencies, channel by channel. Then, for a block of output
// channels at a time, whose results stay in L2: for each frequency a small matrix product mixes the channels, (tiles x
// 32) * (32 x block); each 9x9 result is transformed to a 5x5 output tile; and bias, ReLU and pool (conv1_pool.h) take
// the nine tiles of an image from L1. Backward is the transposed algorithm: the gradient of the tiles is expanded from
// the pooled gradient and the codes, (tiles x 64) * (64 x 32), then overlapping 9x9 tiles are added up.
//
// Frequency planes are a cache line longer than what they hold, of which a large power of two is a divisor: the
// transforms write one vector to each of 81 planes, which would otherwise fall into few cache sets.
#include "conv1_pool.h"
#include "kernel_functions.h"
#include "winograd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kTileSquare = kTileIn * kTileIn;
constexpr int kIn = kConv0Channels;
constexpr int kOut = kConv1Channels;
constexpr int kMaxTiles = kMaxBlock * kTilesPerImage;
static_assert(kFrequencies * (kMaxTiles * (kIn + kOut) + 2 * kLine) <= kScratchFloats);

// Output channels that forward takes at a time: whole cache lines, and no fewer than the columns of a multiplication,
// which are all of them with AVX-512.
constexpr int kOutBlock = kRegisters == 32 ? 4 * kLanes : kLine;
// The products of a block are laid out tile by tile, as their transform reads them.
constexpr int kOutBlockTile = kFrequencies * kOutBlock;
static_assert(kOut % kOutBlock == 0 && kOutBlock % kLine == 0);
// Floats between two frequencies of the transformed weights: forward [blocks][81][32][kOutBlock], backward
// [81][64][32].
constexpr int kForwardFilter = kIn * kOutBlock + kLine;
constexpr int kBackwardFilter = kOut * kIn + kLine;
static_assert(kOut / kOutBlock * kFrequencies * kForwardFilter <= kTransformedFloats);
static_assert(kFrequencies * kBackwardFilter <= kTransformedFloats);

constexpr int frequency_stride(int tiles, int channels) { return tiles * channels + kLine; }

// sums[Rows][..] = a[Rows][K] * b[K][N], some columns of N, the sums held in registers. Rows of sums are `Stride`
// apart.
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

// sums[rows][N] = a[rows][K] * b[K][N], for the rows of one or two images. At least 8 registers of sums hide the
// latency of the multiply-adds; 16 registers hold 6 x 2 of them with their operands, 32 hold 6 x 4 or 9 x 2.
template <int K, int N, int Stride>
MPSMNIST_INLINE void multiply(const float* a, const float* b, int rows, float* sums) {
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

// One 9x9 tile of kLanes channels -> its 81 frequencies.
MPSMNIST_INLINE void transform_input_tile(const float* from, float* to, int stride) {
  Vec columns[kTileSquare];
  for (int x = 0; x < kTileIn; ++x) {
    Vec tile[kTileIn];
    for (int y = 0; y < kTileIn; ++y) tile[y] = load(from + (y * kPlaneSide + x) * kHalf);
    input_transform(tile, 1, columns + x, kTileIn);
  }
  for (int y = 0; y < kTileIn; ++y) {
    Vec row[kTileIn];
    input_transform(columns + y * kTileIn, 1, row, 1);
    for (int x = 0; x < kTileIn; ++x) store(to + (y * kTileIn + x) * stride, row[x]);
  }
}

// The 5x5 outputs of one tile of a block, before the bias.
MPSMNIST_INLINE void transform_output_tile(const float* from, Vec* corner) {
  Vec columns[kTileOut * kTileIn];
  for (int x = 0; x < kTileIn; ++x) {
    Vec tile[kTileIn];
    for (int y = 0; y < kTileIn; ++y) tile[y] = load(from + (y * kTileIn + x) * kOutBlock);
    output_transform(tile, 1, columns + x, kTileIn);
  }
  for (int y = 0; y < kTileOut; ++y) output_transform(columns + y * kTileIn, 1, corner + y * kTiledSide, 1);
}

// The 81 frequencies of the gradient of one tile.
MPSMNIST_INLINE void transform_output_gradient_tile(const Vec* corner, float* to, int stride) {
  Vec columns[kTileIn * kTileOut];
  for (int x = 0; x < kTileOut; ++x) output_transform_transposed(corner + x, kTiledSide, columns + x, kTileOut);
  for (int y = 0; y < kTileIn; ++y) {
    Vec row[kTileIn];
    output_transform_transposed(columns + y * kTileOut, 1, row, 1);
    for (int x = 0; x < kTileIn; ++x) store(to + (y * kTileIn + x) * stride, row[x]);
  }
}

void transform_inputs(const float* planes, int images, float* frequencies) {
  const int stride = frequency_stride(images * kTilesPerImage, kIn);
  for (int image = 0; image < images; ++image) {
    for (int t = 0; t < kTilesPerImage; ++t) {
      const int corner = (t / kTilesPerRow * kPlaneSide + t % kTilesPerRow) * kTileOut * kHalf;
      for (int c = 0; c < kIn; c += kLanes) {
        transform_input_tile(planes + image * kPlane + c / kHalf * kHalfPlane + corner + c % kHalf,
                             frequencies + (image * kTilesPerImage + t) * kIn + c, stride);
      }
    }
  }
}

constexpr int tile_corner(int tile) { return (tile / kTilesPerRow * kTiledSide + tile % kTilesPerRow) * kTileOut; }

// Vectors that are transformed together, so that frequencies are read and written by whole cache lines.
constexpr int kLineVectors = kLine / kLanes;

// frequencies [tiles][81][kOutBlock], of the channels from `first` on.
void transform_and_pool_outputs(const float* frequencies, const float* planes, const Repeats* repeats, int images,
                                int first, const float* weight, const float* bias, float* pooled, uint8_t* codes) {
  for (int image = 0; image < images; ++image) {
    const float* plane = planes + image * kPlane;
    for (int line = 0; line < kOutBlock; line += kLine) {
      Outputs outputs[kLineVectors];
      for (int t = 0; t < kTilesPerImage; ++t) {
        const float* from = frequencies + (image * kTilesPerImage + t) * kOutBlockTile + line;
        for (int v = 0; v < kLineVectors; ++v) {
          transform_output_tile(from + v * kLanes, outputs[v][0] + tile_corner(t));
        }
      }
      for (int v = 0; v < kLineVectors; ++v) {
        const int c = first + line + v * kLanes;
        const Pool1 pool(plane, weight + c * kConv1Filter, load(bias + c), kClose * largest(outputs[v]));
        for (int cell = 0; cell < kPool1Cells; ++cell) {
          const int at = image * kFlat + cell * kOut + c;
          pool.window(outputs[v], cell, repeats[image].limit[cell], pooled + at, codes + at);
        }
      }
    }
  }
}

void transform_output_gradients(const float* pooled_gradient, const uint8_t* codes, int images, float* frequencies) {
  const int stride = frequency_stride(images * kTilesPerImage, kOut);
  for (int image = 0; image < images; ++image) {
    for (int c = 0; c < kOut; c += kLine) {
      Outputs gradients[kLineVectors] = {};
      for (int cell = 0; cell < kPool1Cells; ++cell) {
        const int at = image * kFlat + cell * kOut + c;
        for (int v = 0; v < kLineVectors; ++v) {
          expand_window(pooled_gradient + at + v * kLanes, codes + at + v * kLanes, cell, gradients[v]);
        }
      }
      for (int t = 0; t < kTilesPerImage; ++t) {
        float* to = frequencies + (image * kTilesPerImage + t) * kOut + c;
        for (int v = 0; v < kLineVectors; ++v) {
          transform_output_gradient_tile(gradients[v][0] + tile_corner(t), to + v * kLanes, stride);
        }
      }
    }
  }
}

// Adds the 9x9 tiles of kLanes channels of one image up, where they lie inside 14x14.
MPSMNIST_INLINE void add_input_gradient_tiles(const float* frequencies, int stride, float* gradient) {
  Vec sums[kPlaneSide][kPlaneSide] = {};
  for (int t = 0; t < kTilesPerImage; ++t) {
    const float* from = frequencies + t * kIn;
    Vec columns[kTileSquare];
    for (int x = 0; x < kTileIn; ++x) {
      Vec tile[kTileIn];
      for (int y = 0; y < kTileIn; ++y) tile[y] = load(from + (y * kTileIn + x) * stride);
      input_transform_transposed(tile, 1, columns + x, kTileIn);
    }
    Vec(*corner)[kPlaneSide] = sums + t / kTilesPerRow * kTileOut;
    for (int y = 0; y < kTileIn; ++y) {
      Vec row[kTileIn];
      input_transform_transposed(columns + y * kTileIn, 1, row, 1);
      for (int x = 0; x < kTileIn; ++x) corner[y][t % kTilesPerRow * kTileOut + x] += row[x];
    }
  }
  for (int y = 0; y < kPool0Side; ++y) {
    for (int x = 0; x < kPool0Side; ++x) {
      store(gradient + (y * kPool0Side + x) * kIn, sums[y + kPlaneBorder][x + kPlaneBorder]);
    }
  }
}

// The 5x5 filters of kLanes pairs of channels -> 81 frequencies.
MPSMNIST_INLINE void transform_filter(const float* taps, int tap_stride, float* to, int stride) {
  Vec columns[kTileIn * kKernelSide];
  for (int x = 0; x < kKernelSide; ++x) {
    Vec filter[kKernelSide];
    for (int y = 0; y < kKernelSide; ++y) filter[y] = load(taps + (y * kKernelSide + x) * tap_stride);
    filter_transform(filter, 1, columns + x, kKernelSide);
  }
  for (int y = 0; y < kTileIn; ++y) {
    Vec row[kTileIn];
    filter_transform(columns + y * kKernelSide, 1, row, 1);
    for (int x = 0; x < kTileIn; ++x) store(to + (y * kTileIn + x) * stride, row[x]);
  }
}

}  // namespace

void conv1_transform_weights(const float* weight, int part, float* forward, float* backward) {
  constexpr int kGroup = 16;
  constexpr int kShare = 8;
  static_assert(kConv1Parts == kOut / kGroup * (kIn / kHalf) * (kHalf / kShare));
  const int group = part / 4 * kGroup;
  const int half = part / 2 % 2;
  const int share = part % 2 * kShare;
  const float* from = weight + group * kConv1Filter + half * kTaps * kHalf;
  // Forward: all outputs of the group, a share of the inputs of the half.
  float by_output[kShare][kTaps][kGroup];
  for (int out = 0; out < kGroup; ++out) {
    const float* filter = from + out * kConv1Filter + share;
    for (int tap = 0; tap < kTaps; ++tap) {
      for (int in = 0; in < kShare; ++in) by_output[in][tap][out] = filter[tap * kHalf + in];
    }
  }
  for (int in = 0; in < kShare; ++in) {
    for (int out = 0; out < kGroup; out += kLanes) {
      const int channel = group + out;
      float* block = forward + channel / kOutBlock * kFrequencies * kForwardFilter;
      transform_filter(by_output[in][0] + out, kGroup,
                       block + (half * kHalf + share + in) * kOutBlock + channel % kOutBlock, kForwardFilter);
    }
  }
  // Backward: a share of the outputs of the group, all inputs of the half.
  for (int out = share; out < share + kShare; ++out) {
    for (int in = 0; in < kHalf; in += kLanes) {
      transform_filter(from + out * kConv1Filter + in, kHalf, backward + (group + out) * kIn + half * kHalf + in,
                       kBackwardFilter);
    }
  }
}

void conv1_forward(const float* planes, int images, const float* transformed, const float* weight, const float* bias,
                   float* scratch, float* pooled, uint8_t* codes) {
  const int tiles = images * kTilesPerImage;
  const int stride = frequency_stride(tiles, kIn);
  float* inputs = scratch;
  float* outputs = scratch + kFrequencies * stride;
  Repeats repeats[kMaxBlock];
  for (int image = 0; image < images; ++image) repeats[image] = find_repeats(planes + image * kPlane);
  transform_inputs(planes, images, inputs);
  for (int c = 0; c < kOut; c += kOutBlock) {
    for (int f = 0; f < kFrequencies; ++f, transformed += kForwardFilter) {
      multiply<kIn, kOutBlock, kOutBlockTile>(inputs + f * stride, transformed, tiles, outputs + f * kOutBlock);
    }
    transform_and_pool_outputs(outputs, planes, repeats, images, c, weight, bias, pooled, codes);
  }
}

void conv1_data_gradient(const float* pooled_gradient, const uint8_t* codes, int images, const float* transformed,
                         float* scratch, float* gradient) {
  const int tiles = images * kTilesPerImage;
  float* outputs = scratch;
  float* inputs = scratch + kFrequencies * frequency_stride(tiles, kOut);
  transform_output_gradients(pooled_gradient, codes, images, outputs);
  for (int f = 0; f < kFrequencies; ++f) {
    multiply<kOut, kIn, kIn>(outputs + f * frequency_stride(tiles, kOut), transformed + f * kBackwardFilter, tiles,
                             inputs + f * frequency_stride(tiles, kIn));
  }
  for (int image = 0; image < images; ++image) {
    for (int c = 0; c < kIn; c += kLanes) {
      add_input_gradient_tiles(inputs + image * kTilesPerImage * kIn + c, frequency_stride(tiles, kIn),
                               gradient + image * kPool0Size + c);
    }
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
