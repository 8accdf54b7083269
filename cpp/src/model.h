// The network: its dimensions, and the names, shapes and order of its parameters.
#pragma once

#include <cstdint>
#include <vector>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

// images (n,28,28,1) -> conv0 5x5 SAME (n,28,28,32) -> pool (n,14,14,32) -> conv1 5x5 SAME (n,14,14,64)
// -> pool (n,7,7,64) -> flatten (n,3136) -> fc0 (n,1024) -> fc1 (n,C)
inline constexpr int kImageSide = 28;
inline constexpr int kImagePixels = kImageSide * kImageSide;
inline constexpr int kKernelSide = 5;
inline constexpr int kConv0Channels = 32;
inline constexpr int kPool0Side = 14;
inline constexpr int kConv1Channels = 64;
inline constexpr int kPool1Side = 7;
inline constexpr int kFlat = kPool1Side * kPool1Side * kConv1Channels;
inline constexpr int kHidden = 1024;

/// Indices into model_parameters(): the one order of parameters everywhere.
enum ParameterIndex : std::uint8_t {
  kConv0Weight,  // (5,5,1,32) HWIO
  kConv0Bias,    // (32,)
  kConv1Weight,  // (5,5,32,64) HWIO
  kConv1Bias,    // (64,)
  kFc0Weight,    // (3136,1024)
  kFc0Bias,      // (1024,)
  kFc1Weight,    // (1024,C)
  kFc1Bias,      // (C,)
  kParameterTensors
};

/// P: the length of the flat vector.
std::int64_t total_size(const std::vector<Parameter>& parameters);

/// Initial values, flat (P,): the same floats for the same seed on every platform and engine.
std::vector<float> initial_parameters(const std::vector<Parameter>& parameters, Init init, std::uint64_t seed);

}  // namespace mpsmnist
