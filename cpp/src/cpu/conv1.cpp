// conv1 with its bias, ReLU and pool, forward and data gradient, by Winograd F(4x4,5x5): (14,14,32) -> 5x5 SAME
// -> (14,14,64) -> (7,7,64). The weight gradient is in conv1_weight_gradient.cpp.
//
// Forward: each 8x8 input tile is transformed to 64 frequencies, channel by channel; for each frequency a small matrix
// product mixes the channels, (tiles x 32) * (32 x 64); each 8x8 result is transformed to a 4x4 output tile, which
// bias, ReLU and pool take from registers. Backward is the transposed algorithm, with the gradient of the 4x4 tile
// expanded from the pooled gradient and the codes in registers: (tiles x 64) * (64 x 32), then overlapping 8x8 tiles
// are added up.
//
// The frequency planes of the scratch are 64 bytes longer than a power of two: the transforms write one vector to each
// of 64 planes, which would otherwise all fall into the same few cache sets.
#include "kernel_functions.h"
#include "winograd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kTileSquare = kTileIn * kTileIn;
constexpr int kTilesPerRow = 4;
constexpr int kIn = kConv0Channels;
constexpr int kOut = kConv1Channels;
constexpr int kPlanePadding = 16;
constexpr int kMaxTiles = kMaxBlock * kTilesPerImage;
static_assert(kFrequencies * (kMaxTiles * (kIn + kOut) + 2 * kPlanePadding) <= kScratchFloats);

constexpr int frequency_stride(int tiles, int channels) { return tiles * channels + kPlanePadding; }

// sums[Rows][..] = a[Rows][K] * b[K][N], some columns of N, the sums held in registers.
template <int K, int N, int Rows, int ColumnVectors>
MPSMNIST_INLINE void multiply_block(const float* a, const float* b, float* sums) {
  Vec block[Rows][ColumnVectors] = {};
  for (int k = 0; k < K; ++k) {
    for (int r = 0; r < Rows; ++r) {
      const Vec left = splat(a[r * K + k]);
      for (int v = 0; v < ColumnVectors; ++v) block[r][v] += left * load(b + k * N + v * kLanes);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < ColumnVectors; ++v) store(sums + r * N + v * kLanes, block[r][v]);
  }
}

// sums[rows][N] = a[rows][K] * b[K][N], all contiguous, for a multiple of 16 rows. At least 10 registers of sums hide
// the latency of the multiply-adds; 16 registers hold 6 x 2 of them with their operands, 32 hold 16 with ease.
template <int K, int N>
MPSMNIST_INLINE void multiply(const float* a, const float* b, int rows, float* sums) {
  constexpr int kColumnVectors = kRegisters == 32 && N / kLanes >= 4 ? 4 : 2;
  for (int column = 0; column < N; column += kColumnVectors * kLanes) {
    for (int row = 0; row < rows; row += kTilesPerImage) {
      const float* left = a + row * K;
      const float* right = b + column;
      float* to = sums + row * N + column;
      if constexpr (kRegisters == 16) {
        multiply_block<K, N, 6, kColumnVectors>(left, right, to);
        multiply_block<K, N, 5, kColumnVectors>(left + 6 * K, right, to + 6 * N);
        multiply_block<K, N, 5, kColumnVectors>(left + 11 * K, right, to + 11 * N);
      } else {
        constexpr int kRows = 16 / kColumnVectors;
        for (int r = 0; r < kTilesPerImage; r += kRows) {
          multiply_block<K, N, kRows, kColumnVectors>(left + r * K, right, to + r * N);
        }
      }
    }
  }
}

// One 8x8 tile of kLanes channels -> its 64 frequencies.
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

// The 4x4 outputs of one tile of kLanes channels, before the bias.
MPSMNIST_INLINE void transform_output_tile(const float* from, int stride, Vec out[kTileOut][kTileOut]) {
  Vec columns[kTileOut * kTileIn];
  for (int x = 0; x < kTileIn; ++x) {
    Vec tile[kTileIn];
    for (int y = 0; y < kTileIn; ++y) tile[y] = load(from + (y * kTileIn + x) * stride);
    output_transform(tile, 1, columns + x, kTileIn);
  }
  for (int y = 0; y < kTileOut; ++y) output_transform(columns + y * kTileIn, 1, out[y], 1);
}

// For each cell of the output, which of the four positions of its window (one bit each) see nothing but zeros. Their
// sum is exactly zero, but Winograd leaves rounding noise of either sign. That is harmless next to a bias; where the
// bias is zero, ReLU would let half of it through, with the whole gradient. Blank images and zero biases are how
// training may start.
struct BlankPositions {
  uint8_t bits[kPool1Cells] = {};

  BlankPositions(const float* planes, const float* bias) {
    bool has_zero_bias = false;
    for (int c = 0; c < kOut; ++c) has_zero_bias |= bias[c] == 0;
    if (has_zero_bias) find(planes);
  }

  void find(const float* planes) {
    bool filled[kPlaneSide][kPlaneSide];
    for (int y = 0; y < kPlaneSide; ++y) {
      for (int x = 0; x < kPlaneSide; ++x) {
        const float* pixel = planes + (y * kPlaneSide + x) * kHalf;
        bool any = false;
        for (int c = 0; c < kHalf; ++c) any |= (pixel[c] != 0) | (pixel[kHalfPlane + c] != 0);
        filled[y][x] = any;
      }
    }
    for (int y = 0; y < 2 * kPool1Side; ++y) {
      for (int x = 0; x < 2 * kPool1Side; ++x) {
        bool any = false;
        for (int tap = 0; tap < kTaps; ++tap) any |= filled[y + tap / kKernelSide][x + tap % kKernelSide];
        const int position = y % 2 * 2 + x % 2;
        if (!any) bits[y / 2 * kPool1Side + x / 2] |= static_cast<uint8_t>(1 << position);
      }
    }
  }
};

// Bias, ReLU and pool of one 2x2 window, to one cell of the output.
MPSMNIST_INLINE void pool_window(Vec out[kTileOut][kTileOut], int y, int x, int blank, Vec bias, float* pooled,
                                 uint8_t* codes) {
  if (blank != 0) {
    for (int i = 0; i < 4; ++i) {
      if (blank >> i & 1) out[y + i / 2][x + i % 2] = Vec{};
    }
  }
  Vec best = out[y][x];
  IntVec code = {};
  for (int i = 1; i < 4; ++i) {
    const Vec value = out[y + i / 2][x + i % 2];
    const IntVec wins = value > best;
    best = wins ? value : best;
    code = wins ? IntVec{} + i : code;
  }
  best += bias;
  store_bytes(codes, best <= Vec{} ? IntVec{} + kDead : code);
  store(pooled, relu(best));
}

// The gradient of a 2x2 window at (y, x) of a tile: the pooled gradient at the winner, zero elsewhere.
MPSMNIST_INLINE void expand_window(const float* pooled_gradient, const uint8_t* codes, int y, int x,
                                   Vec out[kTileOut][kTileOut]) {
  const Vec gradient = load(pooled_gradient);
  const IntVec code = load_bytes(codes);
  for (int i = 0; i < 4; ++i) out[y + i / 2][x + i % 2] = code == i ? gradient : Vec{};
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

// Windows of one tile that lie inside the 7x7 output: the last tile of a row or column has one of two.
constexpr int windows_inside(int tile) { return tile == kTilesPerRow - 1 ? 1 : 2; }

void transform_and_pool_outputs(const float* frequencies, const float* planes, int images, const float* bias,
                                float* pooled, uint8_t* codes) {
  const int stride = frequency_stride(images * kTilesPerImage, kOut);
  for (int image = 0; image < images; ++image) {
    const BlankPositions blank(planes + image * kPlane, bias);
    for (int t = 0; t < kTilesPerImage; ++t) {
      const int ty = t / kTilesPerRow;
      const int tx = t % kTilesPerRow;
      for (int c = 0; c < kOut; c += kLanes) {
        Vec out[kTileOut][kTileOut];
        transform_output_tile(frequencies + (image * kTilesPerImage + t) * kOut + c, stride, out);
        for (int y = 0; y < windows_inside(ty); ++y) {
          for (int x = 0; x < windows_inside(tx); ++x) {
            const int cell = (2 * ty + y) * kPool1Side + 2 * tx + x;
            const int at = image * kFlat + cell * kOut + c;
            pool_window(out, 2 * y, 2 * x, blank.bits[cell], load(bias + c), pooled + at, codes + at);
          }
        }
      }
    }
  }
}

void transform_output_gradients(const float* pooled_gradient, const uint8_t* codes, int images, float* frequencies) {
  const int stride = frequency_stride(images * kTilesPerImage, kOut);
  for (int image = 0; image < images; ++image) {
    for (int t = 0; t < kTilesPerImage; ++t) {
      const int ty = t / kTilesPerRow;
      const int tx = t % kTilesPerRow;
      for (int c = 0; c < kOut; c += kLanes) {
        Vec tile[kTileOut][kTileOut] = {};
        for (int y = 0; y < windows_inside(ty); ++y) {
          for (int x = 0; x < windows_inside(tx); ++x) {
            const int at = image * kFlat + ((2 * ty + y) * kPool1Side + 2 * tx + x) * kOut + c;
            expand_window(pooled_gradient + at, codes + at, 2 * y, 2 * x, tile);
          }
        }
        Vec columns[kTileIn * kTileOut];
        for (int x = 0; x < kTileOut; ++x) output_transform_transposed(&tile[0][x], kTileOut, columns + x, kTileOut);
        float* to = frequencies + (image * kTilesPerImage + t) * kOut + c;
        for (int y = 0; y < kTileIn; ++y) {
          Vec row[kTileIn];
          output_transform_transposed(columns + y * kTileOut, 1, row, 1);
          for (int x = 0; x < kTileIn; ++x) store(to + (y * kTileIn + x) * stride, row[x]);
        }
      }
    }
  }
}

// Adds the 8x8 tiles of kLanes channels of one image up, where they lie inside 14x14.
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

// The 5x5 filters of kLanes pairs of channels -> 64 frequencies.
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

void conv1_transform_weights(const float* weight, int group, int half, float* forward, float* backward) {
  constexpr int kGroup = 16;
  const float* from = weight + group * kGroup * kConv1Filter + half * kTaps * kHalf;
  float by_output[kHalf][kTaps][kGroup];
  for (int out = 0; out < kGroup; ++out) {
    const float* filter = from + out * kConv1Filter;
    for (int tap = 0; tap < kTaps; ++tap) {
      for (int in = 0; in < kHalf; ++in) by_output[in][tap][out] = filter[tap * kHalf + in];
    }
    for (int in = 0; in < kHalf; in += kLanes) {
      transform_filter(filter + in, kHalf, backward + (group * kGroup + out) * kIn + half * kHalf + in,
                       kFilterFrequency);
    }
  }
  for (int in = 0; in < kHalf; ++in) {
    for (int out = 0; out < kGroup; out += kLanes) {
      transform_filter(by_output[in][0] + out, kGroup, forward + (half * kHalf + in) * kOut + group * kGroup + out,
                       kFilterFrequency);
    }
  }
}

void conv1_forward(const float* planes, int images, const float* transformed, const float* bias, float* scratch,
                   float* pooled, uint8_t* codes) {
  const int tiles = images * kTilesPerImage;
  float* inputs = scratch;
  float* outputs = scratch + kFrequencies * frequency_stride(tiles, kIn);
  transform_inputs(planes, images, inputs);
  for (int f = 0; f < kFrequencies; ++f) {
    multiply<kIn, kOut>(inputs + f * frequency_stride(tiles, kIn), transformed + f * kFilterFrequency, tiles,
                        outputs + f * frequency_stride(tiles, kOut));
  }
  transform_and_pool_outputs(outputs, planes, images, bias, pooled, codes);
}

void conv1_data_gradient(const float* pooled_gradient, const uint8_t* codes, int images, const float* transformed,
                         float* scratch, float* gradient) {
  const int tiles = images * kTilesPerImage;
  float* outputs = scratch;
  float* inputs = scratch + kFrequencies * frequency_stride(tiles, kOut);
  transform_output_gradients(pooled_gradient, codes, images, outputs);
  for (int f = 0; f < kFrequencies; ++f) {
    multiply<kOut, kIn>(outputs + f * frequency_stride(tiles, kOut), transformed + f * kFilterFrequency, tiles,
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
