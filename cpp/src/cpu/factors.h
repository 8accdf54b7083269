// fc0's factors, a row an image as processes exchange them, and apart as the kernels read them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.h"
#include "cpu/layout.h"

namespace mpsmnist::cpu {

static_assert(Factors::kInputs == kFlat && Factors::kOutputs == kHidden);

/// Writes one image's row, (Factors::kColumns,), from inputs [n][3136] and output gradients [16][n][64].
void write_factors(const float* inputs, const float* gradients, std::int64_t n, std::int64_t image, float* row);

/// Copies of the factors of a batch of up to `capacity` images.
class FactorBatch {
 public:
  FactorBatch() = default;
  /// Throws std::bad_alloc.
  explicit FactorBatch(std::int64_t capacity);

  /// Copies one row of a batch of n images. Returns a bound on the magnitude of its products, input times gradient,
  /// which is finite if, and only if, the copied row is.
  double read(const float* row, std::int64_t n, std::int64_t image);

  std::int64_t capacity() const { return capacity_; }
  const float* inputs() const { return inputs_.data(); }        ///< [n][3136]
  const float* gradients() const { return gradients_.data(); }  ///< [16][n][64]
  double* bounds() { return bounds_.data(); }                   ///< [n], for what read() returns

 private:
  std::int64_t capacity_ = 0;
  Buffer<float> inputs_;
  Buffer<float> gradients_;
  Buffer<double> bounds_;
};

}  // namespace mpsmnist::cpu
