// Elementwise arithmetic with broadcasting, ReLU, pooling and the loss.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "fatal.h"
#include "kernels.h"

namespace objc_host {
namespace {

// For each axis of `shape`, how far an index along it moves in a tensor broadcast to it: 0 along broadcast axes.
std::vector<std::int64_t> broadcast_strides(const Shape& tensor, const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t back = 1; back <= tensor.size(); ++back) {
    const std::int64_t side = tensor[tensor.size() - back];
    if (side != 1) strides[shape.size() - back] = stride;
    stride *= side;
  }
  return strides;
}

// Offsets into a broadcast tensor, in the row-major order of the broadcast shape, one row of its last axis at a time.
class RowOffsets {
 public:
  RowOffsets(const Shape& tensor, const Shape& shape)
      : shape_(shape), strides_(broadcast_strides(tensor, shape)), index_(shape.size(), 0) {}

  std::int64_t column_stride() const { return strides_.empty() ? 0 : strides_.back(); }
  std::int64_t offset() const { return offset_; }

  void next_row() {
    for (std::size_t axis = shape_.empty() ? 0 : shape_.size() - 1; axis-- > 0;) {
      offset_ += strides_[axis];
      if (++index_[axis] < shape_[axis]) return;
      offset_ -= strides_[axis] * shape_[axis];
      index_[axis] = 0;
    }
  }

 private:
  Shape shape_;
  std::vector<std::int64_t> strides_;
  std::vector<std::int64_t> index_;
  std::int64_t offset_ = 0;
};

template <typename Operation>
void apply(const Shape& a_shape, const Shape& b_shape, const Shape& shape, const float* a, const float* b,
           float* __restrict result, Operation operation) {
  const std::int64_t columns = shape.empty() ? 1 : shape.back();
  const std::int64_t rows = size_of(shape) / columns;
  RowOffsets a_rows(a_shape, shape);
  RowOffsets b_rows(b_shape, shape);
  for (std::int64_t row = 0; row < rows; ++row, a_rows.next_row(), b_rows.next_row(), result += columns) {
    const float* x = a + a_rows.offset();
    const float* y = b + b_rows.offset();
    if (a_rows.column_stride() == 1 && b_rows.column_stride() == 1) {
      for (std::int64_t j = 0; j < columns; ++j) result[j] = operation(x[j], y[j]);
    } else if (a_rows.column_stride() == 1) {
      for (std::int64_t j = 0; j < columns; ++j) result[j] = operation(x[j], y[0]);
    } else if (b_rows.column_stride() == 1) {
      for (std::int64_t j = 0; j < columns; ++j) result[j] = operation(x[0], y[j]);
    } else {
      for (std::int64_t j = 0; j < columns; ++j) result[j] = operation(x[0], y[0]);
    }
  }
}

using Offsets = std::vector<std::int64_t>;

// Calls visit(result offset, source offsets of the maxima) for every window and channel. They come
// in row-major order.
template <typename Visit>
void for_each_window(const Shape& source_shape, const Shape& result_shape, const Window& window, const float* source,
                     Visit visit) {
  const std::int64_t height = source_shape[1], width = source_shape[2], channels = source_shape[3];
  Offsets maxima;
  std::int64_t result = 0;
  for (std::int64_t n = 0; n < result_shape[0]; ++n) {
    for (std::int64_t y = 0; y < result_shape[1]; ++y) {
      const std::int64_t top = std::max<std::int64_t>(y * window.stride_y - window.pad_top, 0);
      const std::int64_t bottom = std::min(y * window.stride_y - window.pad_top + window.kernel_y, height);
      for (std::int64_t x = 0; x < result_shape[2]; ++x) {
        const std::int64_t left = std::max<std::int64_t>(x * window.stride_x - window.pad_left, 0);
        const std::int64_t right = std::min(x * window.stride_x - window.pad_left + window.kernel_x, width);
        for (std::int64_t c = 0; c < channels; ++c, ++result) {
          maxima.clear();
          for (std::int64_t sy = top; sy < bottom; ++sy) {
            for (std::int64_t sx = left; sx < right; ++sx) {
              const std::int64_t candidate = ((n * height + sy) * width + sx) * channels + c;
              if (!maxima.empty() && source[candidate] > source[maxima.front()]) maxima.clear();
              if (maxima.empty() || source[candidate] == source[maxima.front()]) maxima.push_back(candidate);
            }
          }
          visit(result, maxima);
        }
      }
    }
  }
}

// log sum exp of one row, in double
double log_partition(std::int64_t classes, const float* logits) {
  const double largest = *std::max_element(logits, logits + classes);
  double sum = 0;
  for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(logits[c] - largest);
  return largest + std::log(sum);
}

}  // namespace

void elementwise(Op op, const Shape& a_shape, const Shape& b_shape, const Shape& shape, const float* a, const float* b,
                 float* result) {
  switch (op) {
    case Op::kAdd:
      return apply(a_shape, b_shape, shape, a, b, result, std::plus<>());
    case Op::kSubtract:
      return apply(a_shape, b_shape, shape, a, b, result, std::minus<>());
    case Op::kMultiply:
      return apply(a_shape, b_shape, shape, a, b, result, std::multiplies<>());
    case Op::kDivide:
      return apply(a_shape, b_shape, shape, a, b, result, std::divides<>());
    default:
      fail("not an elementwise op");
  }
}

void sum_to(const Shape& a_shape, const Shape& shape, const float* a, float* result) {
  std::vector<double> sums(static_cast<std::size_t>(size_of(shape)));
  RowOffsets rows(shape, a_shape);
  const std::int64_t columns = a_shape.empty() ? 1 : a_shape.back();
  const std::int64_t size = size_of(a_shape);
  for (std::int64_t start = 0; start < size; start += columns, rows.next_row()) {
    for (std::int64_t j = 0; j < columns; ++j) {
      sums[static_cast<std::size_t>(rows.offset() + j * rows.column_stride())] += a[start + j];
    }
  }
  std::transform(sums.begin(), sums.end(), result, [](double sum) { return static_cast<float>(sum); });
}

bool has_nan(const float* values, std::int64_t size) {
  int any = 0;  // a loop without an exit, which compilers vectorise
  for (std::int64_t i = 0; i < size; ++i) any |= static_cast<int>(values[i] != values[i]);
  return any != 0;
}

void relu(std::int64_t size, const float* a, float* result) {
  for (std::int64_t i = 0; i < size; ++i) result[i] = a[i] > 0 ? a[i] : 0;
}

void relu_gradient(std::int64_t size, const float* incoming, const float* source, float* result) {
  for (std::int64_t i = 0; i < size; ++i) result[i] = source[i] > 0 ? incoming[i] : 0;
}

void max_pool(const Shape& source_shape, const Shape& result_shape, const Window& window, const float* source,
              float* result) {
  for_each_window(source_shape, result_shape, window, source,
                  [&](std::int64_t to, const Offsets& maxima) { result[to] = source[maxima.front()]; });
}

void max_pool_gradient(const Shape& source_shape, const Shape& result_shape, const Window& window, PoolTies ties,
                       const float* incoming, const float* source, float* source_gradient) {
  std::fill_n(source_gradient, size_of(source_shape), 0.0F);
  for_each_window(source_shape, result_shape, window, source, [&](std::int64_t to, const Offsets& maxima) {
    switch (ties) {
      case PoolTies::kFirst:
        source_gradient[maxima.front()] += incoming[to];
        return;
      case PoolTies::kLast:
        source_gradient[maxima.back()] += incoming[to];
        return;
      case PoolTies::kShared:
        for (const std::int64_t from : maxima)
          source_gradient[from] += incoming[to] / static_cast<float>(maxima.size());
    }
  });
}

void softmax_cross_entropy(std::int64_t rows, std::int64_t classes, const float* logits, const float* labels,
                           float* result) {
  double loss = 0;
  for (std::int64_t row = 0; row < rows; ++row, logits += classes, labels += classes) {
    const double partition = log_partition(classes, logits);
    for (std::int64_t c = 0; c < classes; ++c) loss += labels[c] * (partition - logits[c]);
  }
  *result = static_cast<float>(loss);
}

void softmax_cross_entropy_gradient(std::int64_t rows, std::int64_t classes, float incoming, const float* logits,
                                    const float* labels, float* result) {
  for (std::int64_t row = 0; row < rows; ++row, logits += classes, labels += classes, result += classes) {
    const double partition = log_partition(classes, logits);
    const double mass = std::accumulate(labels, labels + classes, 0.0);
    for (std::int64_t c = 0; c < classes; ++c) {
      result[c] = static_cast<float>(incoming * (mass * std::exp(logits[c] - partition) - labels[c]));
    }
  }
}

}  // namespace objc_host
