// conv1 with its bias, ReLU and pool, forward and data gradient, by Winograd F(5x5,5x5): (14,14,32) -> 5x5 SAME
// -> (14,14,64) -> (7,7,64). The weight gradient is in conv1_weight_gradient.cpp.
//
// Forward, for one or two images, which have 9 tiles each:
//   1. transform_inputs: each 9x9 input tile is transformed to 81 frequencies, channel by channel.
//   2. multiply (conv1_product.h): each frequency is a small matrix product that mixes the channels,
//      (tiles,32) * (32,block), for a block of output channels at a time, whose results stay in L2.
//   3. transform_and_pool_outputs: each 9x9 result is transformed to a 5x5 output tile; bias, ReLU and pool
//      (conv1_pool.h) take the nine tiles of an image from L1.
// Backward is the transposed algorithm:
//   1. transform_output_gradients: the gradient of each 5x5 tile, expanded from the pooled gradient and the codes, is
//      transformed to 81 frequencies.
//   2. multiply: (tiles,64) * (64,32).
//   3. add_input_gradient_tiles: each 9x9 result is transformed, and the tiles, which overlap, are added up.
// The filters are transformed once a step, for both directions: conv1_transform_weights.
//
// Each frequency plane is padded by a cache line. Its natural size is divisible by a large power of two, so that the
// vectors which a transform writes, one to each of 81 planes, would otherwise share few cache sets.
#include "conv1_pool.h"
#include "conv1_product.h"
#include "kernel_functions.h"
#include "winograd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

constexpr int kIn = kConv0Channels;
constexpr int kOut = kConv1Channels;

// Output channels of a forward block: whole cache lines, and at least as many as one multiplication covers, which are
// all 64 with AVX-512.
constexpr int kOutBlock = kRegisters == 32 ? 4 * kLanes : kLine;
static_assert(kOut % kOutBlock == 0 && kOutBlock % kLine == 0);

// Frequencies of some tiles are kept in planes, [81][tiles][channels], this many floats apart...
constexpr int plane_stride(int tiles, int channels) { return tiles * channels + kLine; }
// ...but for the products of a forward block: tile by tile, [tiles][81][kOutBlock], as their transform reads them.
constexpr int kOutBlockTile = kFrequencies * kOutBlock;

constexpr int kMaxTiles = kMaxBlock * kTilesPerImage;
// The rest of the scratch, from here on, is for what the transforms keep.
constexpr int kTransformScratch = 192 * 1024;
static_assert(kFrequencies * (plane_stride(kMaxTiles, kIn) + plane_stride(kMaxTiles, kOut)) <= kTransformScratch);
static_assert(kFrequencies * plane_stride(kMaxTiles, kIn) + kMaxTiles * kOutBlockTile <= kTransformScratch);
static_assert(kTransformScratch + (kPlaneSide * kPlaneSide + 1) * kLine <= kScratchFloats);

// The transformed weights: forward [blocks][81][32][kOutBlock], backward [81][64][32]; floats between two frequencies,
// and where the first frequency of a pair of channels is.
constexpr int kForwardFilter = kIn * kOutBlock + kLine;
constexpr int kBackwardFilter = kOut * kIn + kLine;
constexpr int kForwardBlock = kFrequencies * kForwardFilter;
constexpr int forward_filter(int in, int out) {
  return out / kOutBlock * kForwardBlock + in * kOutBlock + out % kOutBlock;
}
constexpr int backward_filter(int in, int out) { return out * kIn + in; }
static_assert(kOut / kOutBlock * kForwardBlock <= kTransformedFloats);
static_assert(kFrequencies * kBackwardFilter <= kTransformedFloats);

// Vectors that are transformed together, so that frequencies are read and written by whole cache lines.
constexpr int kLineVectors = kLine / kLanes;

constexpr int frequency(int y, int x) { return y * kTileIn + x; }

// planes [images][2][19][19][16] -> frequencies [81][tiles][32]
void transform_inputs(const float* planes, int images, float* frequencies) {
  const int stride = plane_stride(images * kTilesPerImage, kIn);
  for (int image = 0; image < images; ++image) {
    for (int t = 0; t < kTilesPerImage; ++t) {
      const int corner = plane_pixel(t / kTilesPerRow * kTileOut, t % kTilesPerRow * kTileOut);
      for (int c = 0; c < kIn; c += kLanes) {
        const float* from = planes + image * kPlane + corner + plane_channel(c);
        float* to = frequencies + (image * kTilesPerImage + t) * kIn + c;
        transform_tile<kTileIn, kTileIn, input_transform>(
            [&](int y, int x) { return load(from + plane_pixel(y, x)); },
            [&](int y, int x, Vec value) { store(to + frequency(y, x) * stride, value); });
      }
    }
  }
}

// products [tiles][81][kOutBlock] of the channels from `first` on -> values and codes [images][49][64]
void transform_and_pool_outputs(const float* products, int first, const float* planes, const Repeats* repeats,
                                int images, const Conv1Layer& layer, Outputs* outputs, const Pooled& pooled) {
  for (int image = 0; image < images; ++image) {
    for (int line = 0; line < kOutBlock; line += kLine) {
      for (int t = 0; t < kTilesPerImage; ++t) {
        for (int v = 0; v < kLineVectors; ++v) {
          const float* from = products + (image * kTilesPerImage + t) * kOutBlockTile + line + v * kLanes;
          Vec* to = outputs[v].tile(t);
          transform_tile<kTileIn, kTileOut, output_transform>(
              [&](int y, int x) { return load(from + frequency(y, x) * kOutBlock); },
              [&](int y, int x, Vec value) { to[y * kTiledSide + x] = value; });
        }
      }
      for (int v = 0; v < kLineVectors; ++v) {
        const int c = first + line + v * kLanes;
        const Pool1 pool(outputs[v], planes + image * kPlane, layer.weight + c * kConv1Filter, load(layer.bias + c));
        for (int cell = 0; cell < kPool1Cells; ++cell) {
          const int at = image * kFlat + cell * kOut + c;
          pool.window(cell, repeats[image].limit[cell], {pooled.values + at, pooled.codes + at});
        }
      }
    }
  }
}

// Gradient of pool1's output [images][49][64] -> frequencies [81][tiles][64]
void transform_output_gradients(const PooledGradient& pooled, int images, Outputs* gradients, float* frequencies) {
  const int stride = plane_stride(images * kTilesPerImage, kOut);
  for (int image = 0; image < images; ++image) {
    for (int c = 0; c < kOut; c += kLine) {
      memset(gradients, 0, kLineVectors * sizeof *gradients);
      for (int cell = 0; cell < kPool1Cells; ++cell) {
        for (int v = 0; v < kLineVectors; ++v) {
          const int at = image * kFlat + cell * kOut + c + v * kLanes;
          expand_window({pooled.values + at, pooled.codes + at}, cell, gradients[v]);
        }
      }
      for (int t = 0; t < kTilesPerImage; ++t) {
        for (int v = 0; v < kLineVectors; ++v) {
          const Vec* from = gradients[v].tile(t);
          float* to = frequencies + (image * kTilesPerImage + t) * kOut + c + v * kLanes;
          transform_tile<kTileOut, kTileIn, output_transform_transposed>(
              [&](int y, int x) { return from[y * kTiledSide + x]; },
              [&](int y, int x, Vec value) { store(to + frequency(y, x) * stride, value); });
        }
      }
    }
  }
}

// Sums the overlapping 9x9 tiles of kLanes channels of one image, and keeps the 14x14 inside: frequencies, `stride`
// apart, [9 tiles][32] -> gradient [196][32]. `sums` is scratch, [19][19].
MPSMNIST_INLINE void add_input_gradient_tiles(const float* frequencies, int stride, Vec* sums, float* gradient) {
  memset(sums, 0, kPlaneSide * kPlaneSide * sizeof *sums);
  for (int t = 0; t < kTilesPerImage; ++t) {
    const float* from = frequencies + t * kIn;
    Vec* corner = sums + (t / kTilesPerRow * kPlaneSide + t % kTilesPerRow) * kTileOut;
    transform_tile<kTileIn, kTileIn, input_transform_transposed>(
        [&](int y, int x) { return load(from + frequency(y, x) * stride); },
        [&](int y, int x, Vec value) { corner[y * kPlaneSide + x] += value; });
  }
  for (int y = 0; y < kPool0Side; ++y) {
    for (int x = 0; x < kPool0Side; ++x) {
      const Vec sum = sums[(y + kPlaneBorder) * kPlaneSide + x + kPlaneBorder];
      store(gradient + (y * kPool0Side + x) * kIn, sum);
    }
  }
}

// The filters of kLanes pairs of channels, taps `tap_stride` apart -> frequencies, `stride` apart.
MPSMNIST_INLINE void transform_filter(const float* taps, int tap_stride, float* to, int stride) {
  transform_tile<kKernelSide, kTileIn, filter_transform>(
      [&](int y, int x) { return load(taps + (y * kKernelSide + x) * tap_stride); },
      [&](int y, int x, Vec value) { store(to + frequency(y, x) * stride, value); });
}

// A part of the filters, a task of its own: 16 output channels with one half of the input channels. Two parts share
// those: forward each transforms 8 of the inputs with all outputs, backward 8 of the outputs with all inputs.
struct FilterPart {
  static constexpr int kOutputs = 16;
  static constexpr int kShare = 8;
  static constexpr int kShares = 2;
  static_assert(kShare * kShares == kOutputs && kShare * kShares == kHalf);
  static_assert(kConv1Parts == kOut / kOutputs * kHalves * kShares);

  int output;  // the first of its output channels
  int half;
  int share;  // the first of its share

  constexpr explicit FilterPart(int part)
      : output(part / (kHalves * kShares) * kOutputs), half(part / kShares % kHalves), share(part % kShares * kShare) {}
};

}  // namespace

void conv1_transform_weights(const float* weight, int part_number, float* forward, float* backward) {
  const FilterPart part(part_number);
  const float* filters = weight + part.output * kConv1Filter + part.half * kHalfFilter;
  const int first_input = part.half * kHalf;

  // Forward's vectors run over outputs, which are far apart in the weights.
  for (int in = part.share; in < part.share + FilterPart::kShare; ++in) {
    float by_output[kTaps][FilterPart::kOutputs];
    for (int out = 0; out < FilterPart::kOutputs; ++out) {
      const float* filter = filters + out * kConv1Filter + in;
      for (int tap = 0; tap < kTaps; ++tap) by_output[tap][out] = filter[tap * kHalf];
    }
    for (int out = 0; out < FilterPart::kOutputs; out += kLanes) {
      transform_filter(by_output[0] + out, FilterPart::kOutputs,
                       forward + forward_filter(first_input + in, part.output + out), kForwardFilter);
    }
  }

  for (int out = part.share; out < part.share + FilterPart::kShare; ++out) {
    for (int in = 0; in < kHalf; in += kLanes) {
      transform_filter(filters + out * kConv1Filter + in, kHalf,
                       backward + backward_filter(first_input + in, part.output + out), kBackwardFilter);
    }
  }
}

void conv1_forward(const float* planes, int images, const Conv1Layer& layer, float* scratch, const Pooled& pooled) {
  const int tiles = images * kTilesPerImage;
  const int stride = plane_stride(tiles, kIn);
  float* inputs = scratch;                            // [81][tiles][32]
  float* products = scratch + kFrequencies * stride;  // [tiles][81][kOutBlock]
  auto* outputs = in_scratch<Outputs>(scratch + kTransformScratch);
  Repeats repeats[kMaxBlock];
  for (int image = 0; image < images; ++image) repeats[image] = find_repeats(planes + image * kPlane);
  transform_inputs(planes, images, inputs);
  for (int c = 0; c < kOut; c += kOutBlock) {
    const float* filters = layer.transformed + forward_filter(0, c);
    for (int f = 0; f < kFrequencies; ++f) {
      multiply<kIn, kOutBlock, kOutBlockTile>(inputs + f * stride, filters + f * kForwardFilter, tiles,
                                              products + f * kOutBlock);
    }
    transform_and_pool_outputs(products, c, planes, repeats, images, layer, outputs, pooled);
  }
}

void conv1_data_gradient(const PooledGradient& pooled, int images, const float* transformed, float* scratch,
                         float* gradient) {
  const int tiles = images * kTilesPerImage;
  const int out_stride = plane_stride(tiles, kOut);
  const int in_stride = plane_stride(tiles, kIn);
  float* of_outputs = scratch;                             // [81][tiles][64]
  float* of_inputs = scratch + kFrequencies * out_stride;  // [81][tiles][32]
  transform_output_gradients(pooled, images, in_scratch<Outputs>(scratch + kTransformScratch), of_outputs);
  for (int f = 0; f < kFrequencies; ++f) {
    multiply<kOut, kIn, kIn>(of_outputs + f * out_stride, transformed + f * kBackwardFilter, tiles,
                             of_inputs + f * in_stride);
  }
  for (int image = 0; image < images; ++image) {
    for (int c = 0; c < kIn; c += kLanes) {
      add_input_gradient_tiles(of_inputs + image * kTilesPerImage * kIn + c, in_stride,
                               in_scratch<Vec>(scratch + kTransformScratch), gradient + image * kPool0Size + c);
    }
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
