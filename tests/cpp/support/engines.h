// Engines of the same network on batches that depend on their size alone.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cpu/cpu_engine.h"
#include "engine.h"
#include "model.h"
#include "mps/mps_engine.h"
#include "support/instruction_sets.h"
#include "support/random.h"

namespace mpsmnist::test {

struct Settings {
  int threads = 2;
  float momentum = 0;
  int num_classes = 10;
};

using MakeEngine = std::unique_ptr<Engine> (*)(const EngineOptions&);

inline std::unique_ptr<Engine> engine_with(const Settings& settings, MakeEngine make = cpu::make_engine) {
  const EngineOptions options{.parameters = model_parameters(settings.num_classes),
                              .num_classes = settings.num_classes,
                              .momentum = settings.momentum,
                              .threads = settings.threads};
  auto engine = make(options);
  engine->write_parameters(initial_parameters(options.parameters, Init::kHe, 7).data());
  return engine;
}

/// Calls test() once for each instruction set, which CPU engines made within it use.
template <typename Test>
void for_each_cpu_engine(Test test) {
  for_each_instruction_set([&](const Kernels& kernels) {
    const ForcedInstructionSet forced(kernels.isa);
    test();
  });
}

/// Calls test(make) for the CPU engine of each instruction set and for that of MPSGraph, if it is here.
template <typename Test>
void for_each_engine(Test test) {
  for_each_cpu_engine([&] { test(cpu::make_engine); });
  if (mps::availability().unavailable.empty()) {
    SUBCASE("mps") { test(mps::make_engine); }
  }
}

/// Strokes on a blank ground, labels in turn.
inline void stage(Engine& engine, int slot, std::int64_t n, int num_classes = 10) {
  const StagedBatch batch = engine.stage(slot, n);
  auto images = Random(static_cast<std::uint64_t>(n)).floats(static_cast<std::size_t>(n * kImagePixels), -1, 1);
  for (float& pixel : images) pixel = std::max(pixel, 0.0F);
  std::copy(images.begin(), images.end(), batch.images);
  std::fill_n(batch.labels, n * num_classes, 0.0F);
  for (std::int64_t i = 0; i < n; ++i) batch.labels[i * num_classes + i % num_classes] = 1;
}

inline std::vector<float> parameters_of(Engine& engine, int num_classes = 10) {
  std::vector<float> flat(static_cast<std::size_t>(total_size(model_parameters(num_classes))));
  engine.read_parameters(flat.data());
  return flat;
}

/// The outcome of a step that has begun.
inline std::shared_ptr<detail::StepOutcome> begin_step(Engine& engine, int slot, float learning_rate) {
  auto outcome = std::make_shared<detail::StepOutcome>();
  engine.begin_step(slot, learning_rate, outcome);
  return outcome;
}

}  // namespace mpsmnist::test
