// The package's one random generator, which any platform computes alike.
#pragma once

#include <cstdint>

namespace mpsmnist {

/// The output at `position` (from 0) of the SplitMix64 generator of `seed`: Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014, with the constants of Vigna's public reference code.
constexpr std::uint64_t splitmix64(std::uint64_t seed, std::uint64_t position) {
  std::uint64_t z = seed + (position + 1) * 0x9E3779B97F4A7C15U;  // 2^64 divided by the golden ratio, made odd
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

}  // namespace mpsmnist
