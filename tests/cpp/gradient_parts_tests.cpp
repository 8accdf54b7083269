// backpropagate() tells of each part of the gradients when it is final.
#include <doctest/doctest.h>

#include <algorithm>
#include <span>
#include <stdexcept>
#include <thread>

#include "support/engines.h"

namespace mpsmnist::test {
namespace {

constexpr std::int64_t kImages = 5;

// A part as it was when it was told of.
struct Part {
  const float* begin;
  std::vector<float> values;
};

struct Told {
  std::vector<Part> parts;
  bool on_calling_thread = true;
  Gradients gradients;
};

Told backpropagate(Engine& engine) {
  Told told;
  const auto caller = std::this_thread::get_id();
  told.gradients = engine.backpropagate(0, [&](std::span<float> part) {
    told.parts.push_back({part.data(), {part.begin(), part.end()}});
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
    const Gradients unheard = engine->backpropagate(0, {});
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
    const Gradients gradients =
        engine->backpropagate(0, [](std::span<float> part) { std::fill(part.begin(), part.end(), 7.0F); });
    CHECK(std::count(gradients.flat.get(), gradients.flat.get() + size, 7.0F) == static_cast<std::ptrdiff_t>(size));
    const Gradients again = engine->backpropagate(0, {});
    CHECK_MESSAGE(std::count(again.flat.get(), again.flat.get() + size, 7.0F) == 0, "a change came back");
  });
}

TEST_CASE("gradient parts: after a listener that throws the engine remains usable") {
  for_each_engine([](MakeEngine make) {
    const auto engine = engine_with({}, make);
    const auto before = parameters_of(*engine);
    stage(*engine, 0, kImages);
    const Gradients expected = engine->backpropagate(0, {});
    CHECK_THROWS_WITH_AS(engine->backpropagate(0, [](std::span<float>) { throw std::runtime_error("enough"); }),
                         "enough", std::runtime_error);
    const Gradients after = engine->backpropagate(0, {});
    CHECK(std::equal(after.flat.get(), after.flat.get() + before.size(), expected.flat.get()));
    CHECK_MESSAGE(parameters_of(*engine) == before, "the weights changed");
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
    const float* const memory =
        engine->backpropagate(0, [](std::span<float> part) { std::fill(part.begin(), part.end(), 7.0F); }).flat.get();
    std::size_t parts = 0, untouched = 0;
    const Gradients gradients = engine->backpropagate(0, [&](std::span<float> part) {
      if (parts++ > 0) return;
      CHECK(part.data() - memory == static_cast<std::ptrdiff_t>(from));
      CHECK(part.size() == size - from);
      untouched = static_cast<std::size_t>(std::count(memory, memory + from, 7.0F));
    });
    REQUIRE(gradients.flat.get() == memory);
    CHECK_MESSAGE(untouched == from, "the convolutions' gradients were written before");
  });
}

}  // namespace
}  // namespace mpsmnist::test
