// The one-dimensional transforms of Winograd's F(4,5): four outputs of a filter of five taps from 8 products instead
// of 20.
//
// With x the 8 inputs, w the 5 taps and y the 4 outputs (a correlation, y_i = sum_k x_{i+k} w_k):
//   y = At [ (G w) * (Bt x) ]
// Each of the 8 products is the value of a polynomial product at one point: 0, 1, -1, 2, -2, 1/2, -1/2 and infinity,
// the points whose powers are exact and stay small (larger tiles need more points, and lose accuracy with them).
// Writing M(t) = product of (t - point) = t^7 - 21/4 t^5 + 21/4 t^3 - t over the seven finite points a:
//   At[i][a] = a^i           G[a][k] = a^k / M'(a)          Bt[a] = coefficients of M(t) / (t - a)
//   At[3][inf] = 1           G[inf][4] = 1                  Bt[inf] = coefficients of M(t)
// M'(0) = -1, M'(+-1) = -9/2, M'(+-2) = 90, M'(+-1/2) = 45/32. Points come in pairs +-a, whose rows have the same even
// and opposite odd parts: each pair shares its halves. In two dimensions the transforms act on columns, then on rows,
// 64 products for 16 outputs (25 * 16 = 400 directly).
//
// The gradient with respect to x is the transposed algorithm: dx = B [ (G w) * (A dy) ].
#pragma once

#include "simd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

inline constexpr int kTileIn = 8;   // inputs, and products
inline constexpr int kTileOut = 4;  // outputs

/// Bt x: 8 -> 8, in and out with a stride.
MPSMNIST_INLINE void input_transform(const Vec* x, int stride, Vec* out, int out_stride) {
  const Vec x0 = x[0], x1 = x[stride], x2 = x[2 * stride], x3 = x[3 * stride];
  const Vec x4 = x[4 * stride], x5 = x[5 * stride], x6 = x[6 * stride], x7 = x[7 * stride];
  const Vec even1 = x2 + x6 - 4.25F * x4;
  const Vec odd1 = x1 + x5 - 4.25F * x3;
  const Vec even2 = x6 + 0.25F * x2 - 1.25F * x4;
  const Vec odd2 = 0.5F * x1 - 2.5F * x3 + 2.0F * x5;
  const Vec even3 = x6 + 4.0F * x2 - 5.0F * x4;
  const Vec odd3 = 2.0F * x1 - 2.5F * x3 + 0.5F * x5;
  out[0] = x6 - x0 + 5.25F * (x2 - x4);
  out[out_stride] = even1 + odd1;
  out[2 * out_stride] = even1 - odd1;
  out[3 * out_stride] = even2 + odd2;
  out[4 * out_stride] = even2 - odd2;
  out[5 * out_stride] = even3 + odd3;
  out[6 * out_stride] = even3 - odd3;
  out[7 * out_stride] = x7 - x1 + 5.25F * (x3 - x5);
}

/// B v: 8 -> 8, the transpose of input_transform.
MPSMNIST_INLINE void input_transform_transposed(const Vec* v, int stride, Vec* out, int out_stride) {
  const Vec v0 = v[0], v7 = v[7 * stride];
  const Vec sum1 = v[stride] + v[2 * stride], difference1 = v[stride] - v[2 * stride];
  const Vec sum2 = v[3 * stride] + v[4 * stride], difference2 = v[3 * stride] - v[4 * stride];
  const Vec sum3 = v[5 * stride] + v[6 * stride], difference3 = v[5 * stride] - v[6 * stride];
  out[0] = -v0;
  out[out_stride] = difference1 + 0.5F * difference2 + 2.0F * difference3 - v7;
  out[2 * out_stride] = 5.25F * v0 + sum1 + 0.25F * sum2 + 4.0F * sum3;
  out[3 * out_stride] = 5.25F * v7 - 4.25F * difference1 - 2.5F * (difference2 + difference3);
  out[4 * out_stride] = -5.25F * v0 - 4.25F * sum1 - 1.25F * sum2 - 5.0F * sum3;
  out[5 * out_stride] = difference1 + 2.0F * difference2 + 0.5F * difference3 - 5.25F * v7;
  out[6 * out_stride] = v0 + sum1 + sum2 + sum3;
  out[7 * out_stride] = v7;
}

/// At m: 8 -> 4.
MPSMNIST_INLINE void output_transform(const Vec* m, int stride, Vec* out, int out_stride) {
  const Vec sum1 = m[stride] + m[2 * stride], difference1 = m[stride] - m[2 * stride];
  const Vec sum2 = m[3 * stride] + m[4 * stride], difference2 = m[3 * stride] - m[4 * stride];
  const Vec sum3 = m[5 * stride] + m[6 * stride], difference3 = m[5 * stride] - m[6 * stride];
  out[0] = m[0] + sum1 + sum2 + sum3;
  out[out_stride] = difference1 + 2.0F * difference2 + 0.5F * difference3;
  out[2 * out_stride] = sum1 + 4.0F * sum2 + 0.25F * sum3;
  out[3 * out_stride] = m[7 * stride] + difference1 + 8.0F * difference2 + 0.125F * difference3;
}

/// A y: 4 -> 8, the transpose of output_transform.
MPSMNIST_INLINE void output_transform_transposed(const Vec* y, int stride, Vec* out, int out_stride) {
  const Vec y0 = y[0], y1 = y[stride], y2 = y[2 * stride], y3 = y[3 * stride];
  const Vec even1 = y0 + y2, odd1 = y1 + y3;
  const Vec even2 = y0 + 4.0F * y2, odd2 = 2.0F * y1 + 8.0F * y3;
  const Vec even3 = y0 + 0.25F * y2, odd3 = 0.5F * y1 + 0.125F * y3;
  out[0] = y0;
  out[out_stride] = even1 + odd1;
  out[2 * out_stride] = even1 - odd1;
  out[3 * out_stride] = even2 + odd2;
  out[4 * out_stride] = even2 - odd2;
  out[5 * out_stride] = even3 + odd3;
  out[6 * out_stride] = even3 - odd3;
  out[7 * out_stride] = y3;
}

/// G w: 5 -> 8.
MPSMNIST_INLINE void filter_transform(const Vec* w, int stride, Vec* out, int out_stride) {
  const Vec w0 = w[0], w1 = w[stride], w2 = w[2 * stride], w3 = w[3 * stride], w4 = w[4 * stride];
  const Vec even1 = (-2.0F / 9) * (w0 + w2 + w4), odd1 = (-2.0F / 9) * (w1 + w3);
  const Vec even2 = (1.0F / 90) * (w0 + 4.0F * w2 + 16.0F * w4), odd2 = (1.0F / 45) * (w1 + 4.0F * w3);
  const Vec even3 = (32.0F / 45) * (w0 + 0.25F * w2 + 0.0625F * w4), odd3 = (16.0F / 45) * (w1 + 0.25F * w3);
  out[0] = -w0;
  out[out_stride] = even1 + odd1;
  out[2 * out_stride] = even1 - odd1;
  out[3 * out_stride] = even2 + odd2;
  out[4 * out_stride] = even2 - odd2;
  out[5 * out_stride] = even3 + odd3;
  out[6 * out_stride] = even3 - odd3;
  out[7 * out_stride] = w4;
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
