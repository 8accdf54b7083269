// What callers hand in, through the C++ API: images of a wrong scale, and arrays that change after they were checked,
// which nobody copies here. Run under the sanitizers.
#include "inputs.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "finite.h"
#include "model.h"
#include "mpsmnist/mpsmnist.h"

namespace mpsmnist::test {
namespace {

constexpr std::int64_t kImages = 12;
constexpr std::int64_t kBatch = 3;
constexpr std::int64_t kSteps = kImages / kBatch;
constexpr std::int64_t kFar = std::int64_t{1} << 40;  // an index whose memory no process has
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Blank images and valid labels, on the heap, where the sanitizer sees what lies beside them.
template <typename Label>
struct Arrays {
  std::vector<float> pixels = std::vector<float>(kImages * kImagePixels);
  std::vector<Label> classes = std::vector<Label>(kImages);
  std::vector<std::int64_t> indices = std::vector<std::int64_t>(kImages);
  std::vector<float> rates = std::vector<float>(kSteps, 0.01F);

  Arrays() {
    std::iota(classes.begin(), classes.begin() + 10, Label{0});
    std::iota(indices.begin(), indices.end(), 0);
  }

  Images images() const { return {pixels.data(), kImages}; }
  Labels labels() const { return {classes.data(), kImages}; }
  Batches batches() const { return {indices.data(), kSteps, kBatch}; }
};

std::string failure(const auto& call) {
  try {
    call();
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "";
}

/// The error of a run whose first report is change().
template <typename Label>
std::string run(Trainer& trainer, const Arrays<Label>& arrays, const auto& change) {
  std::vector<float> losses(kSteps);
  return failure([&] {
    trainer.run(arrays.images(), arrays.labels(), arrays.batches(), arrays.rates.data(), losses.data(),
                [&](std::int64_t, float) { change(); });
  });
}

TEST_CASE_TEMPLATE("inputs: a label that becomes wrong is an error where it is staged", Label, std::uint8_t,
                   std::int32_t, std::int64_t, std::uint64_t) {
  for (const Label wrong : {Label{10}, std::numeric_limits<Label>::max(), static_cast<Label>(-1)}) {
    Arrays<Label> arrays;
    const std::string expected = "labels: label " + std::to_string(wrong) + " at index ";
    const auto spoil = [&] { std::fill(arrays.classes.begin(), arrays.classes.end(), wrong); };
    const auto mend = [&] { std::fill(arrays.classes.begin(), arrays.classes.end(), Label{1}); };
    Trainer trainer({.device = "cpu"});

    CHECK(run(trainer, arrays, spoil).starts_with(expected + "6 "));
    CHECK(trainer.steps() == 2);

    mend();
    const auto evaluate = [&] {
      std::vector<float> pixels(std::size_t{300} * kImagePixels);  // more than a chunk, whose end is reported
      std::vector<Label> classes(300, Label{1});
      trainer.evaluate({pixels.data(), 300}, {classes.data(), 300},
                       [&](std::int64_t) { std::fill(classes.begin(), classes.end(), wrong); });
    };
    CHECK(failure(evaluate).starts_with(expected + "256 "));

    spoil();
    std::vector<float> staged(10, 7);
    CHECK(failure([&] { stage_label(arrays.labels(), 3, 10, staged.data()); }).starts_with(expected + "3 "));
    CHECK_MESSAGE(staged == std::vector<float>(10, 7), "it was written before it was checked");

    mend();
    CHECK(std::isfinite(trainer.step(arrays.images(), arrays.labels())));
  }
}

TEST_CASE("inputs: an index that becomes wrong is an error where it is used") {
  for (const std::int64_t wrong : {kImages, std::int64_t{-1}, kFar, -kFar, std::numeric_limits<std::int64_t>::min()}) {
    Arrays<std::int64_t> arrays;
    Trainer trainer({.device = "cpu"});
    const std::string text =
        run(trainer, arrays, [&] { std::fill(arrays.indices.begin(), arrays.indices.end(), wrong); });
    CHECK(text ==
          "batches: index " + std::to_string(wrong) + " at (2, 0) is out of range; expected 0 to 11 (12 images)");
    CHECK(trainer.steps() == 2);
  }
}

TEST_CASE("inputs: a learning rate that becomes wrong is an error") {
  for (const float wrong : {kNan, kInfinity, -1.0F}) {
    Arrays<std::int64_t> arrays;
    Trainer trainer({.device = "cpu"});
    const auto spoil = [&] { std::fill(arrays.rates.begin(), arrays.rates.end(), wrong); };
    CHECK(run(trainer, arrays, spoil).starts_with("learning_rates: "));
    CHECK(trainer.steps() == 2);
  }
}

TEST_CASE("inputs: any pixel and any probability is safe to compute with") {
  for (const float value : {kNan, -kNan, kInfinity, -kInfinity, 1e38F, -1e38F, 1e-40F}) {
    CAPTURE(value);
    Arrays<std::int64_t> arrays;
    std::vector<float> probabilities(kImages * 10, 0.1F);
    const Labels labels{probabilities.data(), kImages};
    for (std::vector<float>* target : {&arrays.pixels, &probabilities}) {
      const std::vector<float> good = *target;
      for (const std::size_t stride : {1U, 3U, 29U}) {
        Trainer trainer({.device = "cpu", .momentum = 0.9, .init = Init::kHe});
        std::vector<float> losses(kSteps);
        trainer.run(arrays.images(), labels, arrays.batches(), nullptr, losses.data(), [&](std::int64_t, float) {
          for (std::size_t i = 0; i < target->size(); i += stride) (*target)[i] = value;
        });
        CHECK(trainer.steps() == kSteps);
        *target = good;
        std::vector<float> predictions(kImages * 10);
        trainer.predict(arrays.images(), predictions.data());
      }
    }
  }
}

TEST_CASE("inputs: the first value beyond a limit is found, wherever it is") {
  for (const float limit : {1.0F, kMaxPixel, std::numeric_limits<float>::max()}) {
    const float beyond = std::nextafter(limit, kInfinity);
    for (std::int64_t count = 1; count < 70; ++count) {
      std::vector<float> values(static_cast<std::size_t>(count), -limit);
      CHECK(first_beyond(values.data(), count, limit) == count);
      for (const float bad : {beyond, -beyond, kNan, -kNan, kInfinity, -kInfinity}) {
        for (std::size_t at = 0; at < values.size(); ++at) {
          values[at] = bad;
          REQUIRE(first_beyond(values.data(), count, limit) == static_cast<std::int64_t>(at));
          values[at] = limit;
        }
      }
    }
  }
}

TEST_CASE("inputs: images of a wrong scale are a ScaleError unless they are standardized") {
  Arrays<std::int64_t> arrays;
  const std::vector<std::uint8_t> bytes(kImages * kImagePixels, 1);
  Trainer plain({.device = "cpu", .init = Init::kHe});
  Trainer standardized({.device = "cpu", .init = Init::kHe, .standardized = true});
  for (const float value : {255.0F, -2.0F, 1.01F, 1.0F / 255}) {
    std::fill(arrays.pixels.begin(), arrays.pixels.end(), value);
    CHECK_THROWS_AS(plain.step(arrays.images(), arrays.labels()), ScaleError);
    CHECK(std::isfinite(standardized.gradients(arrays.images(), arrays.labels()).loss));
  }
  CHECK_THROWS_AS(plain.step({bytes.data(), kImages}, arrays.labels()), ScaleError);
  CHECK(plain.steps() == 0);
  CHECK(std::isfinite(standardized.step({bytes.data(), kImages}, arrays.labels())));
}

TEST_CASE("inputs: weights and momentum are read in one turn") {
  Arrays<std::int64_t> arrays;
  Trainer trainer({.device = "cpu", .momentum = 0.5});
  trainer.step(arrays.images(), arrays.labels());
  const auto size = static_cast<std::size_t>(trainer.parameter_count());
  std::vector<float> parameters(size), momentum(size), alone(size);
  trainer.read_state(parameters.data(), momentum.data());
  trainer.read_state(alone.data(), nullptr);
  CHECK_MESSAGE(alone == parameters, "other weights");
  CHECK_MESSAGE(momentum != std::vector<float>(size), "no momentum");

  Trainer plain({.device = "cpu"});
  plain.read_state(parameters.data(), momentum.data());
  CHECK_MESSAGE(momentum == std::vector<float>(size), "momentum without momentum");
}

TEST_CASE("inputs: momentum below the smallest normal float is none") {
  for (const double momentum : {1e-46, 1e-40, 1.17e-38, std::numeric_limits<double>::denorm_min()}) {
    Trainer trainer({.device = "cpu", .momentum = momentum});
    CHECK(trainer.momentum() == 0);
    const auto size = static_cast<std::size_t>(trainer.parameter_count());
    std::vector<float> parameters(size), buffers(size, 1);
    trainer.read_state(parameters.data(), buffers.data());
    CHECK_MESSAGE(buffers == std::vector<float>(size), "momentum without momentum");
    trainer.write_state(parameters.data(), buffers.data());
  }
  CHECK(Trainer({.device = "cpu", .momentum = 1.18e-38}).momentum() == 1.18e-38);
}

}  // namespace
}  // namespace mpsmnist::test
