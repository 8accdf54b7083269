// The host's arithmetic: plain loops over float32, independent of the CPU engine's. Tensors are row-major.
#pragma once

#include <cstdint>

#include "graph.h"
#include "mode.h"

namespace objc_host {

/// A matrix in memory: element (i, j) is data[i * row + j * column].
struct Matrix {
  const float* data;
  std::int64_t row;
  std::int64_t column;
};

/// c (m, n), row-major, += a (m, k) . b (k, n)
void multiply_add(std::int64_t m, std::int64_t n, std::int64_t k, Matrix a, Matrix b, float* c);

/// Whether any of `size` values is NaN.
bool has_nan(const float* values, std::int64_t size);

/// Every tensor below is written over, not added to.
struct ConvolutionSides {
  Shape source;   // (n, h, w, i)
  Shape weights;  // (kh, kw, i, o)
  Shape result;   // (n, y, x, o)
};
void convolution(const ConvolutionSides&, const Window&, const float* source, const float* weights, float* result);
void convolution_data_gradient(const ConvolutionSides&, const Window&, const float* incoming, const float* weights,
                               float* source_gradient);
void convolution_weights_gradient(const ConvolutionSides&, const Window&, const float* incoming, const float* source,
                                  float* weights_gradient);

/// The maximum of each window, and where its gradient goes.
void max_pool(const Shape& source_shape, const Shape& result_shape, const Window&, const float* source, float* result);
void max_pool_gradient(const Shape& source_shape, const Shape& result_shape, const Window&, PoolTies,
                       const float* incoming, const float* source, float* source_gradient);

/// Add, subtract, multiply or divide with NumPy's broadcasting.
void elementwise(Op op, const Shape& a_shape, const Shape& b_shape, const Shape& shape, const float* a, const float* b,
                 float* result);
/// The inverse of broadcasting: sums a over the axes that `shape` lacks or has 1 of.
void sum_to(const Shape& a_shape, const Shape& shape, const float* a, float* result);

void relu(std::int64_t size, const float* a, float* result);
void relu_gradient(std::int64_t size, const float* incoming, const float* source, float* result);

/// -sum over rows and classes of labels * log softmax(logits)
void softmax_cross_entropy(std::int64_t rows, std::int64_t classes, const float* logits, const float* labels,
                           float* result);
void softmax_cross_entropy_gradient(std::int64_t rows, std::int64_t classes, float incoming, const float* logits,
                                    const float* labels, float* result);

}  // namespace objc_host
