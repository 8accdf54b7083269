// The random distortion of one image.
#pragma once

#include <cstdint>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

/// Writes image (28, 28) to out (28, 28) as the distortion moves it that the generator of `key` draws. See Distortion.
void distort(const std::uint8_t* image, const Distortion& strengths, std::uint64_t key, std::uint8_t* out);

}  // namespace mpsmnist
