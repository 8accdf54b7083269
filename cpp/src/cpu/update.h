// The update rule as the kernels apply it: to one vector, straight from registers.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

/// Hands the gradient of `kLanes` weights, `offset` floats into the tensor, to its sink.
MPSMNIST_INLINE void emit(const Sink& sink, size_t offset, Vec gradient) {
  if (sink.gradient != nullptr) {
    store(sink.gradient + offset, gradient);
    return;
  }
  Vec velocity = gradient;
  if (sink.velocity != nullptr) {
    velocity = splat(sink.momentum) * load(sink.velocity + offset) + gradient;
    store(sink.velocity + offset, velocity);
  }
  store(sink.weight + offset, load(sink.weight + offset) - splat(sink.learning_rate) * velocity);
}

/// The same for a single weight, for tails.
MPSMNIST_INLINE void emit_one(const Sink& sink, size_t offset, float gradient) {
  if (sink.gradient != nullptr) {
    sink.gradient[offset] = gradient;
    return;
  }
  float velocity = gradient;
  if (sink.velocity != nullptr) {
    velocity = sink.momentum * sink.velocity[offset] + gradient;
    sink.velocity[offset] = velocity;
  }
  sink.weight[offset] = sink.weight[offset] - sink.learning_rate * velocity;
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
