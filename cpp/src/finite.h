// Looking for NaN, infinity, and values out of bounds.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace mpsmnist {

/// Index of the first NaN or value of a magnitude above `limit`, or count. Looks at the bits, which order magnitudes as
/// integers do, NaN above all, so no compiler flag can fold it away.
inline std::int64_t first_beyond(const float* values, std::int64_t count, float limit) {
  constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
  const auto bound = std::bit_cast<std::int32_t>(limit);
  const auto room = [bound](float value) {  // negative if it is beyond
    return bound - static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(value) & kMagnitude);
  };
  std::int32_t signs = 0;  // a loop without an exit, which compilers vectorise
  for (std::int64_t i = 0; i < count; ++i) signs |= room(values[i]);
  if (signs >= 0) return count;
  return std::find_if(values, values + count, [&](float value) { return room(value) < 0; }) - values;
}

/// Index of the first NaN or infinity, or count.
inline std::int64_t first_not_finite(const float* values, std::int64_t count) {
  return first_beyond(values, count, std::numeric_limits<float>::max());
}

}  // namespace mpsmnist
