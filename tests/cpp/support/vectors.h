// Vectors of numbers: memory that shows what a kernel must not do, and a little arithmetic.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace mpsmnist::test {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Memory that starts one float past an aligned address, with guard values at both ends.
class Misaligned {
 public:
  explicit Misaligned(std::size_t size, float fill = 0) : storage_(size + 2, fill) {
    storage_.front() = storage_.back() = kGuard;
  }
  explicit Misaligned(const std::vector<float>& values) : Misaligned(values.size()) {
    std::copy(values.begin(), values.end(), data());
  }

  float* data() { return storage_.data() + 1; }
  float& operator[](std::size_t i) { return storage_[i + 1]; }
  float operator[](std::size_t i) const { return storage_[i + 1]; }
  std::vector<float> values() const { return {storage_.begin() + 1, storage_.end() - 1}; }
  /// Whether nothing was written just before or behind it.
  bool intact() const { return storage_.front() == kGuard && storage_.back() == kGuard; }

 private:
  static constexpr float kGuard = 12345.0F;
  std::vector<float> storage_;
};

inline std::vector<double> exactly(const std::vector<float>& values) { return {values.begin(), values.end()}; }

inline std::vector<double> squares(const std::vector<float>& values) {
  std::vector<double> result = exactly(values);
  for (double& x : result) x *= x;
  return result;
}

inline double sum(const std::vector<double>& values) {
  double total = 0;
  for (const double x : values) total += x;
  return total;
}

/// values[first..first+size-1]
template <typename T>
std::vector<T> slice(const std::vector<T>& values, std::size_t first, std::size_t size) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
  return {begin, begin + static_cast<std::ptrdiff_t>(size)};
}

/// to += values
template <typename T>
void add(std::vector<T>& to, const std::vector<T>& values) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += values[i];
}

}  // namespace mpsmnist::test
