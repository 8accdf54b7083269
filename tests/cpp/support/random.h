// Random floats that are the same on every platform, whatever ran before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "splitmix64.h"

namespace mpsmnist::test {

class Random {
 public:
  explicit Random(std::uint64_t seed = 20240229) : seed_(seed) {}

  /// In [0, 1), a multiple of 2^-24.
  float unit() { return static_cast<float>(splitmix64(seed_, position_++) >> 40) * 0x1p-24F; }

  /// Below `count`.
  int below(int count) { return static_cast<int>(splitmix64(seed_, position_++) % static_cast<std::uint64_t>(count)); }

  /// `count` floats in [low, high], of which about `zeros` (a share) are zero.
  std::vector<float> floats(std::size_t count, float low, float high, float zeros = 0) {
    std::vector<float> result(count);
    for (float& x : result) {
      const float value = low + (high - low) * unit();
      x = zeros > 0 && unit() < zeros ? 0 : value;
    }
    return result;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t position_ = 0;
};

}  // namespace mpsmnist::test
