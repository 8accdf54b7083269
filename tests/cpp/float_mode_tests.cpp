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
    [[maybe_unused]] const Mode mode;
    const Gradients gradients = engine->backpropagate(0, 5, {});
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

struct Answers {
  std::vector<float> parameters, probabilities;
  float loss = 0, gradients_loss = 0;
  bool operator==(const Answers&) const = default;
};

/// What a Trainer made and used in this mode answers.
template <typename Mode>
Answers answers_in() {
  std::vector<std::uint8_t> pixels(8 * kImagePixels);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  const std::uint8_t classes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  const Images images{pixels.data(), 8};
  const Labels labels{classes, 8};
  Answers answers;
  [[maybe_unused]] const Mode mode;
  Trainer trainer({.device = "cpu", .learning_rate = 0.07, .momentum = 0.9, .init = Init::kHe, .threads = 2});
  answers.loss = trainer.step(images, labels);
  answers.gradients_loss = trainer.gradients(images, labels).loss;
  answers.probabilities.resize(8 * 10);
  trainer.predict(images, answers.probabilities.data());
  answers.parameters.resize(static_cast<std::size_t>(trainer.parameter_count()));
  trainer.read_state(answers.parameters.data(), nullptr);
  return answers;
}

TEST_CASE("float mode: whatever a Trainer is told and answers is computed in it") {
  const Answers expected = answers_in<std::optional<int>>();
  CHECK_MESSAGE(answers_in<RoundDownward>() == expected, "other bits");
  CHECK_MESSAGE(answers_in<FloatMode>() == expected, "other bits");
}

TEST_CASE("float mode: callbacks run in the caller's mode") {
  const std::uint8_t pixels[kImagePixels] = {};
  const RoundDownward downward;
  const float there = third();
  Trainer trainer({.device = "cpu"});
  std::vector<float> seen;
  float probabilities[10];
  trainer.predict({pixels, 1}, probabilities, [&](std::int64_t) { seen.push_back(third()); });
  const std::uint8_t classes[1] = {0};
  const std::int64_t row = 0;
  float loss = 0;
  trainer.run({pixels, 1}, {classes, 1}, {&row, 1, 1}, nullptr, &loss,
              [&](std::int64_t, float) { seen.push_back(third()); });
  CHECK(seen == std::vector<float>(2, there));
}

}  // namespace
}  // namespace mpsmnist::test
