// Looking for NaN, infinity, and values out of bounds.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace mpsmnist {

/// Index of the first NaN or value of a magnitude above `limit`, or count. Looks at the bits, which order magnitudes as
/// integers do and NaN above them all, so no compiler flag can fold it away.
inline std::int64_t first_beyond(const float* values, std::int64_t count, float limit) {
  constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
  const auto bound = std::bit_cast<std::int32_t>(limit);
  const auto is_bad = [bound](float value) {
    return static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(value) & kMagnitude) > bound;
  };
  std::uint32_t any = 0;  // a loop without an exit, which compilers vectorise
  for (std::int64_t i = 0; i < count; ++i) any |= static_cast<std::uint32_t>(is_bad(values[i]));
  if (any == 0) return count;
  return std::find_if(values, values + count, is_bad) - values;
}

/// Index of the first NaN or infinity, or count.
inline std::int64_t first_not_finite(const float* values, std::int64_t count) {
  return first_beyond(values, count, std::numeric_limits<float>::max());
}

}  // namespace mpsmnist
