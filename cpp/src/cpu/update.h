// What becomes of a gradient, for one vector straight from registers or for a single float.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

enum class Rule { kStore, kDescend, kDescendWithMomentum };

/// Hands gradients on as a sink of one kind wants it, so that loops are compiled for each kind. T is Vec or float.
template <Rule rule>
struct Emit {
  Sink sink;  // a copy: through a reference, its numbers would be read again after each store

  /// The same, `at` floats on.
  MPSMNIST_INLINE Emit from(int64_t at) const {
    Emit result = *this;
    if constexpr (rule == Rule::kStore) {
      result.sink.gradient += at;
    } else {
      result.sink.weight += at;
    }
    if constexpr (rule == Rule::kDescendWithMomentum) result.sink.velocity += at;
    return result;
  }

  /// The weights, `at` floats into the tensor; a stored gradient has none, and ignores what it is given.
  template <typename T>
  MPSMNIST_INLINE T weight_at(size_t at) const {
    if constexpr (rule == Rule::kStore) return T{};
    return load<T>(sink.weight + at);
  }

  template <typename T>
  MPSMNIST_INLINE void operator()(size_t at, T gradient, T weight) const {
    if constexpr (rule == Rule::kStore) return store(sink.gradient + at, gradient);
    T velocity = gradient;
    if constexpr (rule == Rule::kDescendWithMomentum) {
      velocity = sink.momentum * load<T>(sink.velocity + at) + gradient;
      store(sink.velocity + at, velocity);
    }
    store(sink.weight + at, weight - sink.learning_rate * velocity);
  }
};

/// Calls use(Emit) with the one for `sink`.
template <typename Use>
MPSMNIST_INLINE void with_rule(const Sink& sink, const Use& use) {
  if (sink.gradient != nullptr) {
    use(Emit<Rule::kStore>{sink});
  } else if (sink.velocity == nullptr) {
    use(Emit<Rule::kDescend>{sink});
  } else {
    use(Emit<Rule::kDescendWithMomentum>{sink});
  }
}

/// Hands on the gradient of the weights `at` floats into the tensor.
template <typename T>
MPSMNIST_INLINE void emit(const Sink& sink, size_t at, T gradient) {
  with_rule(sink, [&](const auto& rule) { rule(at, gradient, rule.template weight_at<T>(at)); });
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
