// The update rule: v <- momentum*v + g; w <- w - learning_rate*v.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cpu/reference.h"
#include "support/accuracy.h"
#include "support/instruction_sets.h"
#include "support/kernel_calls.h"
#include "support/random.h"
#include "support/vectors.h"

namespace mpsmnist::test {
namespace {

namespace reference = cpu::reference;

constexpr float kLearningRate = 0.1F;

void check_update(const Kernels& kernels, std::size_t count, float momentum) {
  Random random(count);
  const auto gradient = random.floats(count, -1, 1);
  const auto start = random.floats(count, -1, 1);
  const auto start_velocity = momentum > 0 ? random.floats(count, -1, 1) : std::vector<float>(count);
  Misaligned given(gradient), weight(start), velocity(start_velocity);
  update(kernels, given.data(), count,
         descend(weight.data(), momentum > 0 ? velocity.data() : nullptr, kLearningRate, momentum));
  CHECK(weight.intact());
  CHECK(velocity.intact());
  CHECK(given.values() == gradient);

  auto scalar = start, scalar_velocity = start_velocity;
  reference::update(scalar, scalar_velocity, gradient, kLearningRate, momentum);
  auto exact = exactly(start), exact_velocity = exactly(start_velocity);
  reference::update<double>(exact, exact_velocity, exactly(gradient), kLearningRate, momentum);
  // The terms are momentum*v and g, and w and learning_rate times both.
  std::vector<double> velocity_squares(count), weight_squares(count);
  for (std::size_t i = 0; i < count; ++i) {
    velocity_squares[i] = std::pow(momentum * start_velocity[i], 2) + std::pow(gradient[i], 2);
    weight_squares[i] = std::pow(start[i], 2) + std::pow(kLearningRate, 2) * velocity_squares[i];
  }
  check_accuracy(kernels.isa, {.kernel = "update",
                               .result = weight.values(),
                               .scalar = scalar,
                               .exact = exact,
                               .roundings = 4,
                               .squares = sum(weight_squares)});
  if (momentum == 0) return;
  check_accuracy(kernels.isa, {.kernel = "update (velocity)",
                               .result = velocity.values(),
                               .scalar = scalar_velocity,
                               .exact = exact_velocity,
                               .roundings = 2,
                               .squares = sum(velocity_squares)});
}

TEST_CASE("update") {
  for_each_instruction_set([](const Kernels& kernels) {
    for (std::size_t count = 0; count <= 67; ++count) {
      for (const float momentum : {0.0F, 0.9F}) {
        CAPTURE(count);
        CAPTURE(momentum);
        check_update(kernels, count, momentum);
      }
    }
  });
}

TEST_CASE("update: a NaN or an infinity is found wherever it is") {
  for_each_instruction_set([](const Kernels& kernels) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (std::size_t count = 1; count <= 67; ++count) {
      CAPTURE(count);
      Misaligned values(count, std::numeric_limits<float>::max());
      CHECK(all_finite(kernels, values.data(), count));
      for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
        for (std::size_t at = 0; at < count; ++at) {
          values[at] = bad;
          CHECK_MESSAGE(!all_finite(kernels, values.data(), count), bad << " at " << at);
          values[at] = -1;
        }
      }
    }
  });
}

}  // namespace
}  // namespace mpsmnist::test
