// The one-dimensional transforms of Winograd's F(5,5): five outputs of a filter of five taps from 9 products instead of
// 25.
//
// With x the 9 inputs, w the 5 taps and y the 5 outputs (a correlation, y_i = sum_k x_{i+k} w_k):
//   y = At [ (G w) * (Bt x) ]
// Each of the 9 products is the value of a polynomial product at one point: four pairs +-a, and infinity. Writing
// M(t) = product of (t^2 - a^2), and M_a(t) = M(t) / (t^2 - a^2) for a pair:
//   At[i][+-a] = (+-a)^i     G[+-a][k] = (+-a)^k / M'(+-a), M'(+-a) = +-2a M_a(a)     Bt[+-a] = coefficients of
//   At[4][inf] = 1           G[inf][4] = 1                                            (t +- a) M_a(t); Bt[inf]: of M
// Only even powers occur in M and M_a, so the two rows of a pair have the same even and opposite odd parts: each pair
// shares its halves. In two dimensions the transforms act on columns, then on rows: 81 products, the "frequencies", for
// 25 outputs (25 * 25 = 625 directly).
//
// Why this tile: three of five cover the 14 rows of conv1 with one to spare, 9^2 * 3^2 = 729 products for each pair of
// channels. F(4,5) needs four tiles, 1024 products; F(7,5) only 484, but its 11 points err by 1e-4.
//
// Why these points: they are what the accuracy depends on. The usual 0, +-1, +-2, +-1/2 with an eighth, 1/4 or 4, err
// by 1.8e-5 of the result's norm (random inputs, 32 channels); without 0, all in pairs and spread evenly, 4.4e-6, which
// is the best of a search over multiples of 1/16 (F(4,5) at its own best points: 2.1e-6). All coefficients of At and Bt
// are exact in float32.
//
// The gradient with respect to x is the transposed algorithm: dx = B [ (G w) * (A dy) ].
#pragma once

#include "layout.h"
#include "simd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

inline constexpr int kPairs = (kTileIn - 1) / 2;
static_assert(kTileIn == 9 && kTileOut == 5 && kKernelSide == 5, "the transforms below are written out for F(5,5)");
/// Which of the products is the one at infinity; those before it are the pairs'.
inline constexpr int kInfinityAt = kTileIn - 1;
inline constexpr double kPoints[kPairs] = {1.0 / 4, 5.0 / 8, 9.0 / 8, 9.0 / 4};

/// A polynomial in t^2, lowest power first.
struct EvenPolynomial {
  double coefficient[kPairs + 1];

  constexpr double at(double t) const {
    double value = 0;
    for (int k = kPairs; k >= 0; --k) value = value * t * t + coefficient[k];
    return value;
  }
};

/// The product of (t^2 - a^2) over all pairs but the one left out.
constexpr EvenPolynomial product_of_pairs(int left_out) {
  EvenPolynomial product = {{1, 0, 0, 0, 0}};
  for (int p = 0; p < kPairs; ++p) {
    if (p == left_out) continue;
    const double square = kPoints[p] * kPoints[p];
    for (int k = kPairs; k > 0; --k)
      product.coefficient[k] = product.coefficient[k - 1] - square * product.coefficient[k];
    product.coefficient[0] *= -square;
  }
  return product;
}

/// What the transforms need of a pair.
struct PairCoefficients {
  float others[kPairs];          // the coefficients of M_a
  float others_times_a[kPairs];  // of a M_a
  float power[kTileOut];         // of a
  float scale;                   // of G

  constexpr explicit PairCoefficients(int p) : others(), others_times_a(), power(), scale() {
    const EvenPolynomial product = product_of_pairs(p);
    const double a = kPoints[p];
    for (int k = 0; k < kPairs; ++k) {
      others[k] = static_cast<float>(product.coefficient[k]);
      others_times_a[k] = static_cast<float>(a * product.coefficient[k]);
    }
    double value = 1;
    for (float& x : power) {
      x = static_cast<float>(value);
      value *= a;
    }
    scale = static_cast<float>(1 / (2 * product.at(a)));
  }
};

/// The coefficients of M, but for the highest, which is 1.
struct InfinityCoefficients {
  float all[kPairs];

  constexpr InfinityCoefficients() : all() {
    for (int k = 0; k < kPairs; ++k) all[k] = static_cast<float>(product_of_pairs(kPairs).coefficient[k]);
  }
};

inline constexpr PairCoefficients kPair[kPairs] = {PairCoefficients(0), PairCoefficients(1), PairCoefficients(2),
                                                   PairCoefficients(3)};
inline constexpr InfinityCoefficients kInfinity;

/// Bt x: 9 -> 9, in and out with a stride.
MPSMNIST_INLINE void input_transform(const Vec* x, int stride, Vec* out, int out_stride) {
  const Vec x0 = x[0], x1 = x[stride], x2 = x[2 * stride], x3 = x[3 * stride], x4 = x[4 * stride];
  const Vec x5 = x[5 * stride], x6 = x[6 * stride], x7 = x[7 * stride], x8 = x[8 * stride];
  for (int p = 0; p < kPairs; ++p) {
    const PairCoefficients& pair = kPair[p];
    const Vec even = pair.others[0] * x0 + pair.others[1] * x2 + pair.others[2] * x4 + x6;
    const Vec odd = pair.others[0] * x1 + pair.others[1] * x3 + pair.others[2] * x5 + x7;
    out[2 * p * out_stride] = odd + pair.power[1] * even;
    out[(2 * p + 1) * out_stride] = odd - pair.power[1] * even;
  }
  out[kInfinityAt * out_stride] =
      kInfinity.all[0] * x0 + kInfinity.all[1] * x2 + kInfinity.all[2] * x4 + kInfinity.all[3] * x6 + x8;
}

/// B v: 9 -> 9, the transpose of input_transform.
MPSMNIST_INLINE void input_transform_transposed(const Vec* v, int stride, Vec* out, int out_stride) {
  Vec sum[kPairs], difference[kPairs];
  for (int p = 0; p < kPairs; ++p) {
    sum[p] = v[2 * p * stride] + v[(2 * p + 1) * stride];
    difference[p] = v[2 * p * stride] - v[(2 * p + 1) * stride];
  }
  const Vec last = v[kInfinityAt * stride];
  for (int k = 0; k < kPairs; ++k) {
    Vec even = kInfinity.all[k] * last;
    Vec odd = kPair[0].others[k] * sum[0];
    for (int p = 0; p < kPairs; ++p) even += kPair[p].others_times_a[k] * difference[p];
    for (int p = 1; p < kPairs; ++p) odd += kPair[p].others[k] * sum[p];
    out[2 * k * out_stride] = even;
    out[(2 * k + 1) * out_stride] = odd;
  }
  out[kInfinityAt * out_stride] = last;
}

/// At m: 9 -> 5.
MPSMNIST_INLINE void output_transform(const Vec* m, int stride, Vec* out, int out_stride) {
  Vec sums[kTileOut] = {};
  sums[kTileOut - 1] = m[kInfinityAt * stride];
  for (int p = 0; p < kPairs; ++p) {
    const Vec sum = m[2 * p * stride] + m[(2 * p + 1) * stride];
    const Vec difference = m[2 * p * stride] - m[(2 * p + 1) * stride];
    for (int i = 0; i < kTileOut; ++i) sums[i] += kPair[p].power[i] * (i % 2 == 0 ? sum : difference);
  }
  for (int i = 0; i < kTileOut; ++i) out[i * out_stride] = sums[i];
}

/// A y: 5 -> 9, the transpose of output_transform.
MPSMNIST_INLINE void output_transform_transposed(const Vec* y, int stride, Vec* out, int out_stride) {
  const Vec y0 = y[0], y1 = y[stride], y2 = y[2 * stride], y3 = y[3 * stride], y4 = y[4 * stride];
  for (int p = 0; p < kPairs; ++p) {
    const PairCoefficients& pair = kPair[p];
    const Vec even = y0 + pair.power[2] * y2 + pair.power[4] * y4;
    const Vec odd = y1 + pair.power[2] * y3;
    out[2 * p * out_stride] = even + pair.power[1] * odd;
    out[(2 * p + 1) * out_stride] = even - pair.power[1] * odd;
  }
  out[kInfinityAt * out_stride] = y4;
}

/// G w: 5 -> 9.
MPSMNIST_INLINE void filter_transform(const Vec* w, int stride, Vec* out, int out_stride) {
  const Vec w0 = w[0], w1 = w[stride], w2 = w[2 * stride], w3 = w[3 * stride], w4 = w[4 * stride];
  for (int p = 0; p < kPairs; ++p) {
    const PairCoefficients& pair = kPair[p];
    const Vec even = (pair.scale / pair.power[1]) * (w0 + pair.power[2] * w2 + pair.power[4] * w4);
    const Vec odd = pair.scale * (w1 + pair.power[2] * w3);
    out[2 * p * out_stride] = odd + even;
    out[(2 * p + 1) * out_stride] = odd - even;
  }
  out[kInfinityAt * out_stride] = w4;
}

/// One of the above in two dimensions, In x In -> Out x Out: on columns, then on rows. load(y, x) gives a Vec, and
/// store(y, x, Vec) takes one.
template <int In, int Out, auto kTransform, typename Load, typename Store>
MPSMNIST_INLINE void transform_tile(const Load& load, const Store& store) {
  Vec columns[Out * In];
  for (int x = 0; x < In; ++x) {
    Vec column[In];
    for (int y = 0; y < In; ++y) column[y] = load(y, x);
    kTransform(column, 1, columns + x, In);
  }
  for (int y = 0; y < Out; ++y) {
    Vec row[Out];
    kTransform(columns + y * In, 1, row, 1);
    for (int x = 0; x < Out; ++x) store(y, x, row[x]);
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
