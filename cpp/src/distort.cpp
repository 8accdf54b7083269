// The same bytes on every platform: no library functions, and no multiply-adds, which CMakeLists.txt switches off here.
//
// Both source coordinates of a pixel are uniform cubic B-spline surfaces over the image. Such splines reproduce linear
// functions, so the affine map goes into their control points too, and costs nothing per pixel.
#include "distort.h"

#include <algorithm>
#include <numbers>

#include "model.h"
#include "splitmix64.h"

namespace mpsmnist {
namespace {

constexpr int kCells = 4;                     // of the spline, along each side
constexpr int kCell = kImageSide / kCells;    // pixels along a cell's side
constexpr int kControls = kCells + 3;         // control points along a side: each cell depends on four
constexpr double kMiddle = kImageSide / 2.0;  // the coordinates that are distorted begin here

/// `value`, but at least 0 and at most `most`: comparisons that compilers turn into vectors.
float clip(float value, float most) {
  const float low = value < 0 ? 0 : value;
  return low > most ? most : low;
}

/// A float for each control point, (row, column).
using Controls = float[kControls][kControls];
/// One for each pixel along a side.
using Side = float[kImageSide];

/// The weight of each control point at the middle of each pixel, along one side.
struct Basis {
  Side weights[kControls] = {};

  constexpr Basis() {
    for (int pixel = 0; pixel < kImageSide; ++pixel) {
      const int cell = pixel / kCell;
      const double t = (pixel % kCell + 0.5) / kCell, s = 1 - t;
      const double cubics[] = {s * s * s, (3 * t - 6) * t * t + 4, (3 * s - 6) * s * s + 4, t * t * t};
      for (int i = 0; i < 4; ++i) weights[cell + i][pixel] = static_cast<float>(cubics[i] / 6);
    }
  }
};
constexpr Basis kBasis;

/// Numbers uniform in [-1, 1), each a multiple of 2^-52.
class Uniform {
 public:
  explicit Uniform(std::uint64_t key) : key_(key) {}

  double operator()() {
    constexpr std::int64_t kHalf = std::int64_t{1} << 52;
    const auto bits = static_cast<std::int64_t>(splitmix64(key_, drawn_++) >> 11);
    return static_cast<double>(bits - kHalf) / static_cast<double>(kHalf);
  }

 private:
  const std::uint64_t key_;
  std::uint64_t drawn_ = 0;
};

struct Direction {
  double cosine = 1;
  double sine = 0;
};

/// By Horner's rule for the power series of exp(i angle); for |angle| <= pi the rest is below 1e-11.
Direction direction(double angle) {
  constexpr int kTerms = 24;
  Direction sum;
  for (int n = kTerms; n > 0; --n) {
    const double factor = angle / n;
    sum = {1 - factor * sum.sine, factor * sum.cosine};
  }
  return sum;
}

/// From an image's coordinates, relative to its middle, to those of its source: x = xx u + xy v + x0, y likewise.
struct Affine {
  double xx, xy, x0;
  double yx, yy, y0;
};

Affine draw_affine(const Distortion& strengths, Uniform& uniform) {
  const Direction turn = direction(strengths.rotation * uniform() * (std::numbers::pi / 180));
  const double shear = strengths.shear * uniform();
  const double scale_x = 1 + strengths.scale * uniform();
  const double scale_y = 1 + strengths.scale * uniform();
  const double x0 = strengths.shift * uniform();
  const double y0 = strengths.shift * uniform();
  return {.xx = turn.cosine * scale_x,
          .xy = (turn.cosine * shear - turn.sine) * scale_y,
          .x0 = x0,
          .yx = turn.sine * scale_x,
          .yy = (turn.sine * shear + turn.cosine) * scale_y,
          .y0 = y0};
}

/// What becomes of a level, 0 to 255: clip(gain * level - offset). Strokes, whose edges are slopes, get thicker or
/// thinner, while paper stays 0 and ink stays 255.
struct Contrast {
  float gain, offset;

  float apply(float level) const { return clip(gain * level - offset, 255.0F); }
};

Contrast draw_contrast(const Distortion& strengths, Uniform& uniform) {
  const double offset = strengths.thickness * (255 / 2.0) * (1 + uniform());
  return {static_cast<float>(1 + strengths.thickness), static_cast<float>(offset)};
}

void draw_controls(const Distortion& strengths, Uniform& uniform, Controls& x, Controls& y) {
  const Affine map = draw_affine(strengths, uniform);
  for (int row = 0; row < kControls; ++row) {
    const double v = (row - 1) * kCell - kMiddle;
    for (int column = 0; column < kControls; ++column) {
      const double u = (column - 1) * kCell - kMiddle;
      x[row][column] = static_cast<float>(map.xx * u + map.xy * v + map.x0 + strengths.elastic * uniform());
      y[row][column] = static_cast<float>(map.yx * u + map.yy * v + map.y0 + strengths.elastic * uniform());
    }
  }
}

/// A spline surface as splines along the rows, one for each row of control points.
struct Surface {
  Side rows[kControls] = {};

  explicit Surface(const Controls& controls) {
    for (int row = 0; row < kControls; ++row) {
      for (int i = 0; i < kControls; ++i) {
        const float control = controls[row][i];
        for (int column = 0; column < kImageSide; ++column) rows[row][column] += control * kBasis.weights[i][column];
      }
    }
  }

  /// Its values along row `row` of pixels.
  void evaluate(int row, Side& out) const {
    const int cell = row / kCell;
    const float w0 = kBasis.weights[cell][row], w1 = kBasis.weights[cell + 1][row];
    const float w2 = kBasis.weights[cell + 2][row], w3 = kBasis.weights[cell + 3][row];
    for (int c = 0; c < kImageSide; ++c) {
      out[c] = (w0 * rows[cell][c] + w1 * rows[cell + 1][c]) + (w2 * rows[cell + 2][c] + w3 * rows[cell + 3][c]);
    }
  }
};

/// An image with the zeros around it that bilinear samples reach: one pixel before it, two after it.
class Padded {
 public:
  explicit Padded(const std::uint8_t* image) {
    for (int row = 0; row < kImageSide; ++row) {
      std::copy_n(image + row * kImageSide, kImageSide, pixels_ + (row + 1) * kStride + 1);
    }
  }

  /// Samples where x and y are, from the middle of the image; farther out than a pixel it is zero.
  void sample(const Side& x, const Side& y, Contrast contrast, std::uint8_t* out) const {
    std::int32_t at[kImageSide];
    Side right, down;
    for (int i = 0; i < kImageSide; ++i) {
      const float column = in_reach(x[i]), row = in_reach(y[i]);
      const auto whole_column = static_cast<std::int32_t>(column), whole_row = static_cast<std::int32_t>(row);
      at[i] = whole_row * kStride + whole_column;
      right[i] = column - static_cast<float>(whole_column);
      down[i] = row - static_cast<float>(whole_row);
    }
    std::uint32_t fours[kImageSide];  // the pixels around each place, a byte each
    for (int i = 0; i < kImageSide; ++i) {
      const std::uint8_t* place = pixels_ + at[i];
      fours[i] = pair(place) | pair(place + kStride) << 16;
    }
    std::int32_t levels[kImageSide];  // not yet bytes: a vector of these fits seven times, one of bytes leaves a rest
    for (int i = 0; i < kImageSide; ++i) {
      const auto pixel = [four = fours[i]](int n) { return static_cast<float>(static_cast<int>(four >> 8 * n & 255)); };
      const float above = pixel(0) + right[i] * (pixel(1) - pixel(0));
      const float below = pixel(2) + right[i] * (pixel(3) - pixel(2));
      levels[i] = static_cast<std::int32_t>(contrast.apply(above + down[i] * (below - above)) + 0.5F);
    }
    for (int i = 0; i < kImageSide; ++i) out[i] = static_cast<std::uint8_t>(levels[i]);
  }

 private:
  static constexpr int kStride = 32;
  static constexpr int kRows = kImageSide + 3;

  static std::uint32_t pair(const std::uint8_t* pixels) { return pixels[0] | std::uint32_t{pixels[1]} << 8; }

  static float in_reach(float coordinate) {
    return clip(coordinate + (static_cast<float>(kMiddle) + 0.5F), kImageSide + 1);
  }

  std::uint8_t pixels_[kRows * kStride] = {};
};

}  // namespace

void distort(const std::uint8_t* image, const Distortion& strengths, std::uint64_t key, std::uint8_t* out) {
  Uniform uniform(key);
  const Contrast contrast = draw_contrast(strengths, uniform);
  Controls controls_x, controls_y;
  draw_controls(strengths, uniform, controls_x, controls_y);
  const Surface x(controls_x), y(controls_y);
  const Padded source(image);
  for (int row = 0; row < kImageSide; ++row) {
    Side columns, rows;
    x.evaluate(row, columns);
    y.evaluate(row, rows);
    source.sample(columns, rows, contrast, out + row * kImageSide);
  }
}

}  // namespace mpsmnist
