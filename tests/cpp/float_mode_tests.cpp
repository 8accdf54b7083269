// Numbers too small to be normal are zeros wherever the CPU engine computes, and the caller's mode is left as it was.
#include "float_mode.h"

#include <doctest/doctest.h>

#include <cfenv>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "support/engines.h"
#include "support/kernel_calls.h"

namespace mpsmnist::test {
namespace {

constexpr float kSmallestNormal = std::numeric_limits<float>::min();

// Computed where it is called: the values are read through volatiles.
float half(float value) {
  volatile float factor = 0.5F;
  volatile float read = value;
  return read * factor;
}
float third() {
  volatile float one = 1;
  volatile float three = 3;
  return one / three;
}

/// A mode that nobody expects: downward rounding.
class RoundDownward {
 public:
  RoundDownward() { std::fesetround(FE_DOWNWARD); }
  ~RoundDownward() { std::fesetround(FE_TONEAREST); }
};

TEST_CASE("float mode: small results and small operands are zeros, and rounding is to nearest") {
  const float nearest = third();
  const RoundDownward downward;
  REQUIRE(third() < nearest);
  REQUIRE(half(kSmallestNormal) > 0);
  {
    const FloatMode mode;
    CHECK(half(kSmallestNormal) == 0);
    volatile float large = 1e30F;
    CHECK(std::numeric_limits<float>::denorm_min() * large == 0);
    CHECK(third() == nearest);
  }
  CHECK(third() < nearest);
  CHECK(half(kSmallestNormal) > 0);
}

TEST_CASE("float mode: every task of a team runs in it, and the caller's mode stays") {
  const float nearest = third();
  for (const int threads : {1, 2, 16}) {
    CAPTURE(threads);
    const RoundDownward downward;  // threads start with the mode of the one that starts them
    Team team(threads);
    std::vector<float> small(64, 1), thirds(64);
    for (int round = 0; round < 100; ++round) {
      team.run(64, [&](std::int64_t index, int) {
        small[static_cast<std::size_t>(index)] = half(kSmallestNormal);
        thirds[static_cast<std::size_t>(index)] = third();
      });
      REQUIRE(small == std::vector<float>(64, 0));
      REQUIRE(thirds == std::vector<float>(64, nearest));
    }
    CHECK(third() < nearest);
    CHECK(half(kSmallestNormal) > 0);
  }
}

struct State {
  float loss = 0;
  std::vector<float> parameters, momentum, gradients;
};

void check_equal(const State& actual, const State& expected) {
  CHECK(actual.loss == expected.loss);
  CHECK_MESSAGE(actual.gradients == expected.gradients, "other gradients");
  CHECK_MESSAGE(actual.momentum == expected.momentum, "other momentum");
  CHECK_MESSAGE(actual.parameters == expected.parameters, "other weights");
}

/// A step from momentum that decays into what is no longer normal.
template <typename Mode>
State step_in(int threads) {
  const auto engine = engine_with({.threads = threads, .momentum = 0.9F});
  const std::vector<float> small(parameters_of(*engine).size(), 1.01F * kSmallestNormal);
  engine->write_momentum(small.data());
  stage(*engine, 0, 5);
  State state;
  state.momentum = small;
  {
    const Mode mode;
    const Gradients gradients = engine->backpropagate(0, {});
    state.gradients.assign(gradients.flat.get(), gradients.flat.get() + small.size());
    state.loss = begin_step(*engine, 0, 0.01F)->wait();
    engine->step(0, 0.01F);
    CHECK(engine->apply_gradients(state.gradients.data(), 0.01F));
    engine->read_momentum(state.momentum.data());
  }
  state.parameters = parameters_of(*engine);
  return state;
}

TEST_CASE("float mode: the bits of a step do not depend on the caller's mode, and momentum is normal or zero") {
  for_each_cpu_engine([] {
    const State expected = step_in<FloatMode>(1);
    std::size_t zeros = 0;
    for (const float value : expected.momentum) {
      zeros += value == 0;
      REQUIRE((value == 0 || std::abs(value) >= kSmallestNormal));
    }
    CHECK(zeros > 0);
    for (const int threads : {1, 3}) {
      CAPTURE(threads);
      check_equal(step_in<RoundDownward>(threads), expected);
      check_equal(step_in<std::optional<int>>(threads), expected);  // the mode of every new process
    }
  });
}

}  // namespace
}  // namespace mpsmnist::test
