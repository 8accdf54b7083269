// backpropagate() tells of each part of the gradients when it is final.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "support/engines.h"

namespace mpsmnist::test {
namespace {

constexpr std::int64_t kImages = 5;

// A part as it was when it was told of.
struct Part {
  const float* begin;
  std::vector<float> values;
  std::int64_t offset;
};

struct Told {
  std::vector<Part> parts;
  bool on_calling_thread = true;
  Gradients gradients;
};

void fill(const GradientPart& part) { std::fill_n(part.values.get(), part.size, 7.0F); }

Told backpropagate(Engine& engine) {
  Told told;
  const auto caller = std::this_thread::get_id();
  told.gradients = engine.backpropagate(0, kImages, [&](const GradientPart& part) {
    told.parts.push_back({part.values.get(), {part.values.get(), part.values.get() + part.size}, part.offset});
    told.on_calling_thread &= std::this_thread::get_id() == caller;
  });
  return told;
}

TEST_CASE("gradient parts: each is final when told of, and together they are all gradients") {
  for_each_engine([](MakeEngine make) {
    const auto engine = engine_with({}, make);
    const std::size_t size = parameters_of(*engine).size();
    stage(*engine, 0, kImages);
    Told told = backpropagate(*engine);
    CHECK(told.on_calling_thread);
    const float* const flat = told.gradients.flat.get();
    const auto by_address = [](const Part& a, const Part& b) { return a.begin < b.begin; };
    std::sort(told.parts.begin(), told.parts.end(), by_address);
    std::size_t covered = 0;
    for (const Part& part : told.parts) {
      CHECK(part.offset == part.begin - flat);
      REQUIRE_MESSAGE(part.begin == flat + covered, "a gap, parts that overlap, or memory of something else");
      CHECK(!part.values.empty());
      CHECK_MESSAGE(std::equal(part.values.begin(), part.values.end(), part.begin), "not final when told of");
      covered += part.values.size();
    }
    CHECK(covered == size);
  });
}

TEST_CASE("gradient parts: the gradients are the same whether anybody listens or not") {
  for_each_engine([](MakeEngine make) {
    const auto engine = engine_with({}, make);
    const std::size_t size = parameters_of(*engine).size();
    stage(*engine, 0, kImages);
    const Gradients unheard = engine->backpropagate(0, kImages, {});
    const Gradients heard = backpropagate(*engine).gradients;
    CHECK(heard.loss == unheard.loss);
    CHECK(std::equal(heard.flat.get(), heard.flat.get() + size, unheard.flat.get()));
  });
}

TEST_CASE("gradient parts: what a listener changes stays as it left it") {
  for_each_engine([](MakeEngine make) {
    const auto engine = engine_with({}, make);
    const std::size_t size = parameters_of(*engine).size();
    stage(*engine, 0, kImages);
    const Gradients gradients = engine->backpropagate(0, kImages, fill);
    CHECK(std::count(gradients.flat.get(), gradients.flat.get() + size, 7.0F) == static_cast<std::ptrdiff_t>(size));
    const Gradients again = engine->backpropagate(0, kImages, {});
    CHECK_MESSAGE(std::count(again.flat.get(), again.flat.get() + size, 7.0F) == 0, "a change came back");
  });
}

TEST_CASE("gradient parts: after a listener that throws the engine remains usable") {
  for_each_engine([](MakeEngine make) {
    const auto engine = engine_with({}, make);
    const auto before = parameters_of(*engine);
    stage(*engine, 0, kImages);
    const Gradients expected = engine->backpropagate(0, kImages, {});
    const auto give_up = [](const GradientPart&) { throw std::runtime_error("enough"); };
    CHECK_THROWS_WITH_AS(engine->backpropagate(0, kImages, give_up), "enough", std::runtime_error);
    const Gradients after = engine->backpropagate(0, kImages, {});
    CHECK(std::equal(after.flat.get(), after.flat.get() + before.size(), expected.flat.get()));
    CHECK_MESSAGE(parameters_of(*engine) == before, "the weights changed");
  });
}

TEST_CASE("gradient parts: a part may outlive the call, the gradients and the engine") {
  for_each_engine([](MakeEngine make) {
    std::vector<GradientPart> kept;
    std::vector<float> expected;
    {
      const auto engine = engine_with({}, make);
      stage(*engine, 0, kImages);
      const auto keep = [&](const GradientPart& part) { kept.push_back(part); };
      const Gradients gradients = engine->backpropagate(0, kImages, keep);
      expected.assign(gradients.flat.get(), gradients.flat.get() + parameters_of(*engine).size());
      for (int i = 0; i < 3; ++i) {  // which would use the memory again
        engine->backpropagate(0, kImages, fill);
      }
    }
    for (const GradientPart& part : kept) {
      CHECK(std::equal(part.values.get(), part.values.get() + part.size, expected.begin() + part.offset));
    }
  });
}

// Of two processes with 2 and 3 images of a batch of 5.
TEST_CASE("gradient parts: divided by the images of all processes, they add up to the gradients of the whole batch") {
  for_each_engine([](MakeEngine make) {
    const auto engine = engine_with({}, make);
    const std::size_t size = parameters_of(*engine).size();
    stage(*engine, 0, kImages);
    const Gradients whole = engine->backpropagate(0, kImages, {});
    const StagedBatch batch = engine->stage(0, kImages);
    const std::vector<float> images(batch.images, batch.images + kImages * kImagePixels);
    const std::vector<float> labels(batch.labels, batch.labels + kImages * 10);
    std::vector<double> sum(size);
    double loss = 0;
    for (const auto& [first, last] : {std::pair<std::int64_t, std::int64_t>{0, 2}, {2, kImages}}) {
      const StagedBatch shard = engine->stage(0, last - first);
      std::copy(images.begin() + first * kImagePixels, images.begin() + last * kImagePixels, shard.images);
      std::copy(labels.begin() + first * 10, labels.begin() + last * 10, shard.labels);
      const Gradients part = engine->backpropagate(0, kImages, {});
      loss += part.loss * static_cast<double>(last - first) / static_cast<double>(kImages);
      for (std::size_t i = 0; i < size; ++i) sum[i] += part.flat[static_cast<std::ptrdiff_t>(i)];
    }
    CHECK(loss == doctest::Approx(whole.loss).epsilon(1e-6));
    double largest = 0, error = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const double expected = whole.flat[static_cast<std::ptrdiff_t>(i)];
      largest = std::max(largest, std::abs(expected));
      error = std::max(error, std::abs(sum[i] - expected));
    }
    CHECK(error <= 1e-5 * largest);
  });
}

// Those of fc0 and fc1, nearly all of the gradients, while the convolutions' are still to be computed.
TEST_CASE("gradient parts: the CPU engine tells of everything from fc0.weight on before it computes the rest") {
  for_each_cpu_engine([] {
    const auto engine = engine_with({});
    const std::size_t size = parameters_of(*engine).size();
    const auto from = static_cast<std::size_t>(model_parameters(10)[kFc0Weight].offset);
    stage(*engine, 0, kImages);
    // Marks the memory, which the engine will lend again.
    const float* const memory = engine->backpropagate(0, kImages, fill).flat.get();
    std::size_t parts = 0, untouched = 0;
    const Gradients gradients = engine->backpropagate(0, kImages, [&](const GradientPart& part) {
      if (parts++ > 0) return;
      CHECK(part.values.get() - memory == static_cast<std::ptrdiff_t>(from));
      CHECK(part.size == static_cast<std::int64_t>(size - from));
      untouched = static_cast<std::size_t>(std::count(memory, memory + from, 7.0F));
    });
    REQUIRE(gradients.flat.get() == memory);
    CHECK_MESSAGE(untouched == from, "the convolutions' gradients were written before");
  });
}

}  // namespace
}  // namespace mpsmnist::test
