// The update rule as the kernels apply it: to one vector, straight from registers.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

/// What becomes of the gradient of `kLanes` weights, `at` floats into the tensor, whose old values are `weight`. There
/// are three ways, one for each kind of sink.
struct Store {
  float* gradient;

  MPSMNIST_INLINE Vec weight_at(size_t) const { return Vec{}; }  // it has none, and ignores what it is given
  MPSMNIST_INLINE void operator()(size_t at, Vec value, Vec) const { store(gradient + at, value); }
};
struct Descend {
  float* weights;
  float learning_rate;

  MPSMNIST_INLINE Vec weight_at(size_t at) const { return load(weights + at); }
  MPSMNIST_INLINE void operator()(size_t at, Vec gradient, Vec weight) const {
    store(weights + at, weight - splat(learning_rate) * gradient);
  }
};
struct DescendWithMomentum {
  Descend descend;
  float* velocities;
  float momentum;

  MPSMNIST_INLINE Vec weight_at(size_t at) const { return descend.weight_at(at); }
  MPSMNIST_INLINE void operator()(size_t at, Vec gradient, Vec weight) const {
    const Vec velocity = splat(momentum) * load(velocities + at) + gradient;
    store(velocities + at, velocity);
    descend(at, velocity, weight);
  }
};

/// Calls `use` with one of the above, so that its loops are compiled for each kind.
template <typename Use>
MPSMNIST_INLINE void with_rule(const Sink& sink, const Use& use) {
  const Descend descend{sink.weight, sink.learning_rate};
  if (sink.gradient != nullptr) {
    use(Store{sink.gradient});
  } else if (sink.velocity == nullptr) {
    use(descend);
  } else {
    use(DescendWithMomentum{descend, sink.velocity, sink.momentum});
  }
}

/// Hands the gradient of `kLanes` weights, `at` floats into the tensor, to its sink.
MPSMNIST_INLINE void emit(const Sink& sink, size_t at, Vec gradient) {
  with_rule(sink, [&](const auto& rule) { rule(at, gradient, rule.weight_at(at)); });
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
