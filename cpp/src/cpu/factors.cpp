#include "cpu/factors.h"

#include <algorithm>
#include <bit>

namespace mpsmnist::cpu {
namespace {

/// Calls visit(a panel of the image's gradient in [16][n][64], its columns in the row), panel by panel.
template <typename Float, typename Visit>
void for_each_panel(Float* gradients, std::int64_t n, std::int64_t image, Visit visit) {
  for (std::int64_t panel = 0; panel < kPanels; ++panel) {
    visit(gradients + (panel * n + image) * kPanel, kFlat + panel * kPanel);
  }
}

/// The largest magnitude, or infinity or NaN if one of them is among the values: without its sign, the bits of a float
/// that is larger are the larger integer, and theirs are above all others.
float largest_magnitude(const float* values, std::int64_t count) {
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::int32_t>(values[i]) & 0x7FFFFFFF);
  }
  return std::bit_cast<float>(largest);
}

std::size_t floats(std::int64_t images, int per_image) {
  return static_cast<std::size_t>(images) * static_cast<std::size_t>(per_image);
}

}  // namespace

void write_factors(const float* inputs, const float* gradients, std::int64_t n, std::int64_t image, float* row) {
  std::copy_n(inputs + image * kFlat, kFlat, row);
  for_each_panel(gradients, n, image,
                 [=](const float* panel, std::int64_t column) { std::copy_n(panel, kPanel, row + column); });
}

FactorBatch::FactorBatch(std::int64_t capacity)
    : capacity_(capacity),
      inputs_(floats(capacity, kFlat)),
      gradients_(floats(capacity, kHidden)),
      bounds_(floats(capacity, 1)) {}

double FactorBatch::read(const float* row, std::int64_t n, std::int64_t image) {
  float* inputs = inputs_.data() + image * kFlat;
  std::copy_n(row, kFlat, inputs);
  const double input = largest_magnitude(inputs, kFlat);
  double bound = 0;
  for_each_panel(gradients_.data(), n, image, [&](float* panel, std::int64_t column) {
    std::copy_n(row + column, kPanel, panel);
    // Added up: a maximum would lose NaN.
    bound += input * static_cast<double>(largest_magnitude(panel, kPanel));
  });
  return bound;
}

}  // namespace mpsmnist::cpu
