// Matrix products, and convolutions as matrix products of patches.
#include <algorithm>
#include <vector>

#include "kernels.h"

namespace objc_host {
namespace {

constexpr std::int64_t kTileRows = 4;
constexpr std::int64_t kTileColumns = 8;
constexpr std::int64_t kBlockRows = 64;  // rows of the result that one pass over b's panels fills

// Panels of kTileColumns columns of b, each (k, kTileColumns), the last one padded with zeros.
std::vector<float> pack_panels(std::int64_t n, std::int64_t k, const Matrix& b) {
  const std::int64_t panels = (n + kTileColumns - 1) / kTileColumns;
  std::vector<float> packed(static_cast<std::size_t>(panels * k * kTileColumns));
  const auto put = [&](std::int64_t p, std::int64_t j) {
    packed[static_cast<std::size_t>((j / kTileColumns * k + p) * kTileColumns + j % kTileColumns)] =
        b.data[p * b.row + j * b.column];
  };
  if (b.column == 1) {
    for (std::int64_t p = 0; p < k; ++p) {
      for (std::int64_t j = 0; j < n; ++j) put(p, j);
    }
  } else {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t p = 0; p < k; ++p) put(p, j);
    }
  }
  return packed;
}

template <std::int64_t kRows>
void multiply_tile(std::int64_t k, const Matrix& a, std::int64_t row, const float* __restrict panel,
                   float (&sums)[kRows][kTileColumns]) {
  for (std::int64_t p = 0; p < k; ++p) {
    for (std::int64_t i = 0; i < kRows; ++i) {
      const float x = a.data[(row + i) * a.row + p * a.column];
      for (std::int64_t j = 0; j < kTileColumns; ++j) sums[i][j] += x * panel[p * kTileColumns + j];
    }
  }
}

template <std::int64_t kRows>
void add_tile(std::int64_t n, std::int64_t k, const Matrix& a, std::int64_t row, const float* panel, std::int64_t first,
              std::int64_t columns, float* c) {
  float sums[kRows][kTileColumns] = {};
  multiply_tile<kRows>(k, a, row, panel, sums);
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) c[(row + i) * n + first + j] += sums[i][j];
  }
}

// Calls visit(tap, source offset or -1 in the padding) for every output pixel and tap of one image.
template <typename Visit>
void for_each_tap(const ConvolutionSides& sides, const Window& window, Visit visit) {
  const std::int64_t height = sides.source[1], width = sides.source[2], channels = sides.source[3];
  std::int64_t patch = 0;
  for (std::int64_t y = 0; y < sides.result[1]; ++y) {
    for (std::int64_t x = 0; x < sides.result[2]; ++x) {
      for (std::int64_t ky = 0; ky < window.kernel_y; ++ky) {
        const std::int64_t sy = y * window.stride_y + ky - window.pad_top;
        for (std::int64_t kx = 0; kx < window.kernel_x; ++kx, patch += channels) {
          const std::int64_t sx = x * window.stride_x + kx - window.pad_left;
          const bool inside = sy >= 0 && sy < height && sx >= 0 && sx < width;
          visit(patch, inside ? (sy * width + sx) * channels : -1);
        }
      }
    }
  }
}

struct ImageSizes {
  std::int64_t images, pixels, taps, outputs, source, result;
};

ImageSizes image_sizes(const ConvolutionSides& sides) {
  const Shape& w = sides.weights;
  const std::int64_t pixels = sides.result[1] * sides.result[2];
  return {.images = sides.source[0],
          .pixels = pixels,
          .taps = w[0] * w[1] * w[2],
          .outputs = w[3],
          .source = sides.source[1] * sides.source[2] * sides.source[3],
          .result = pixels * w[3]};
}

// patches (pixels, taps): row p holds what the window sees at output pixel p
void gather_patches(const ConvolutionSides& sides, const Window& window, const float* image, float* patches) {
  const std::int64_t channels = sides.source[3];
  for_each_tap(sides, window, [&](std::int64_t patch, std::int64_t source) {
    if (source < 0) {
      std::fill_n(patches + patch, channels, 0.0F);
    } else {
      std::copy_n(image + source, channels, patches + patch);
    }
  });
}

void scatter_patches(const ConvolutionSides& sides, const Window& window, const float* patches, float* image) {
  const std::int64_t channels = sides.source[3];
  for_each_tap(sides, window, [&](std::int64_t patch, std::int64_t source) {
    if (source < 0) return;
    for (std::int64_t c = 0; c < channels; ++c) image[source + c] += patches[patch + c];
  });
}

}  // namespace

void multiply_add(std::int64_t m, std::int64_t n, std::int64_t k, Matrix a, Matrix b, float* c) {
  const std::vector<float> packed = pack_panels(n, k, b);
  for (std::int64_t block = 0; block < m; block += kBlockRows) {
    const std::int64_t end = std::min(block + kBlockRows, m);
    for (std::int64_t first = 0; first < n; first += kTileColumns) {
      const std::int64_t columns = std::min(kTileColumns, n - first);
      const float* panel = packed.data() + first * k;
      std::int64_t row = block;
      for (; row + kTileRows <= end; row += kTileRows) add_tile<kTileRows>(n, k, a, row, panel, first, columns, c);
      for (; row < end; ++row) add_tile<1>(n, k, a, row, panel, first, columns, c);
    }
  }
}

void convolution(const ConvolutionSides& sides, const Window& window, const float* source, const float* weights,
                 float* result) {
  const ImageSizes sizes = image_sizes(sides);
  std::vector<float> patches(static_cast<std::size_t>(sizes.pixels * sizes.taps));
  std::fill_n(result, sizes.images * sizes.result, 0.0F);
  for (std::int64_t image = 0; image < sizes.images; ++image) {
    gather_patches(sides, window, source + image * sizes.source, patches.data());
    multiply_add(sizes.pixels, sizes.outputs, sizes.taps, {patches.data(), sizes.taps, 1}, {weights, sizes.outputs, 1},
                 result + image * sizes.result);
  }
}

void convolution_data_gradient(const ConvolutionSides& sides, const Window& window, const float* incoming,
                               const float* weights, float* source_gradient) {
  const ImageSizes sizes = image_sizes(sides);
  std::vector<float> patches(static_cast<std::size_t>(sizes.pixels * sizes.taps));
  std::fill_n(source_gradient, sizes.images * sizes.source, 0.0F);
  for (std::int64_t image = 0; image < sizes.images; ++image) {
    std::fill(patches.begin(), patches.end(), 0.0F);
    multiply_add(sizes.pixels, sizes.taps, sizes.outputs, {incoming + image * sizes.result, sizes.outputs, 1},
                 {weights, 1, sizes.outputs}, patches.data());
    scatter_patches(sides, window, patches.data(), source_gradient + image * sizes.source);
  }
}

void convolution_weights_gradient(const ConvolutionSides& sides, const Window& window, const float* incoming,
                                  const float* source, float* weights_gradient) {
  const ImageSizes sizes = image_sizes(sides);
  std::vector<float> patches(static_cast<std::size_t>(sizes.pixels * sizes.taps));
  std::fill_n(weights_gradient, sizes.taps * sizes.outputs, 0.0F);
  for (std::int64_t image = 0; image < sizes.images; ++image) {
    gather_patches(sides, window, source + image * sizes.source, patches.data());
    multiply_add(sizes.taps, sizes.outputs, sizes.pixels, {patches.data(), 1, sizes.taps},
                 {incoming + image * sizes.result, sizes.outputs, 1}, weights_gradient);
  }
}

}  // namespace objc_host
