// Looking for NaN and infinity.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace mpsmnist {

/// Index of the first NaN or infinity, or count. Looks at the bits, so no compiler flag can fold it away.
inline std::int64_t first_not_finite(const float* values, std::int64_t count) {
  constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
  constexpr std::uint32_t kInfinity = 0x7F800000U;
  const auto is_bad = [](float value) { return (std::bit_cast<std::uint32_t>(value) & kMagnitude) >= kInfinity; };
  std::uint32_t any = 0;  // a loop without an exit, which compilers vectorise
  for (std::int64_t i = 0; i < count; ++i) any |= static_cast<std::uint32_t>(is_bad(values[i]));
  if (any == 0) return count;
  return std::find_if(values, values + count, is_bad) - values;
}

}  // namespace mpsmnist
