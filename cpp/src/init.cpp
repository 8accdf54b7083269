// Initial values. Only integer arithmetic, one exact conversion and one rounded product per value, so every platform,
// compiler and engine gets the same floats (std::uniform_real_distribution promises no such thing).
#include <algorithm>
#include <cmath>

#include "model.h"
#include "splitmix64.h"

namespace mpsmnist {
namespace {

/// The half-width of the uniform distribution of a weight tensor.
double weight_limit(const Parameter& parameter, Init init) {
  if (init == Init::kUniform) return 0.2;  // the original's
  // He et al. 2015, for ReLU: variance 2 / fan_in, and a uniform distribution on ±limit has variance limit² / 3.
  const double fan_in = static_cast<double>(parameter.size) / static_cast<double>(parameter.shape.back());
  return std::sqrt(6.0 / fan_in);
}

}  // namespace

std::vector<float> initial_parameters(const std::vector<Parameter>& parameters, Init init, std::uint64_t seed) {
  constexpr std::int64_t kHalfRange = std::int64_t{1} << 23;  // 24 random bits fit a float's significand exactly
  std::vector<float> values(static_cast<std::size_t>(total_size(parameters)));
  std::uint64_t drawn = 0;
  for (const Parameter& parameter : parameters) {
    float* out = values.data() + parameter.offset;
    if (parameter.shape.size() == 1) {
      std::fill_n(out, parameter.size, init == Init::kUniform ? 0.1F : 0.0F);
      continue;
    }
    const auto scale = static_cast<float>(weight_limit(parameter, init) / static_cast<double>(kHalfRange));
    for (std::int64_t i = 0; i < parameter.size; ++i) {
      const auto bits = static_cast<std::int64_t>(splitmix64(seed, drawn++) >> 40);
      out[i] = static_cast<float>(bits - kHalfRange) * scale;
    }
  }
  return values;
}

}  // namespace mpsmnist
