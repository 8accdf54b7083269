// Initial values. Only integer arithmetic, one exact conversion and one rounded product per value, so every platform,
// compiler and engine gets the same floats (std::uniform_real_distribution promises no such thing).
#include <algorithm>
#include <cmath>

#include "model.h"

namespace mpsmnist {
namespace {

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

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
  SplitMix64 random(seed);
  for (const Parameter& parameter : parameters) {
    float* out = values.data() + parameter.offset;
    if (parameter.shape.size() == 1) {
      std::fill_n(out, parameter.size, init == Init::kUniform ? 0.1F : 0.0F);
      continue;
    }
    const auto scale = static_cast<float>(weight_limit(parameter, init) / static_cast<double>(kHalfRange));
    for (std::int64_t i = 0; i < parameter.size; ++i) {
      const auto bits = static_cast<std::int64_t>(random.next() >> 40);
      out[i] = static_cast<float>(bits - kHalfRange) * scale;
    }
  }
  return values;
}

}  // namespace mpsmnist
