// The engine as a whole: the same bits whatever the threads, steps that agree with their gradients, any batch size.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>
#include <memory>

#include "check.h"
#include "cpu/cpu_engine.h"

namespace mpsmnist::test {
namespace {

std::unique_ptr<Engine> engine_with(int threads, float momentum, int num_classes = 10) {
  EngineOptions options;
  options.parameters = model_parameters(num_classes);
  options.num_classes = num_classes;
  options.momentum = momentum;
  options.threads = threads;
  auto engine = cpu::make_engine(options);
  engine->write_parameters(initial_parameters(options.parameters, Init::kHe, 7).data());
  return engine;
}

std::vector<float> parameters_of(Engine& engine, int num_classes = 10) {
  std::vector<float> flat(static_cast<std::size_t>(total_size(model_parameters(num_classes))));
  engine.read_parameters(flat.data());
  return flat;
}

// The same batch for the same n: strokes on a blank ground, labels in turn.
void stage(Engine& engine, int slot, std::int64_t n, int num_classes = 10) {
  std::mt19937 random(static_cast<unsigned>(n));
  std::uniform_real_distribution<float> value(-1, 1);
  const StagedBatch batch = engine.stage(slot, n);
  for (std::int64_t i = 0; i < n * kImagePixels; ++i) batch.images[i] = std::max(value(random), 0.0F);
  std::fill_n(batch.labels, n * num_classes, 0.0F);
  for (std::int64_t i = 0; i < n; ++i) batch.labels[i * num_classes + i % num_classes] = 1;
}

struct Run {
  std::vector<float> losses;
  std::vector<float> parameters;
  std::vector<float> gradients;
  std::vector<float> logits;
  bool operator==(const Run&) const = default;
};

Run train(int threads, std::int64_t n, bool asynchronous) {
  const auto engine = engine_with(threads, 0.9F);
  Run run;
  for (int step = 0; step < 2; ++step) {
    stage(*engine, step, n + step);
    if (asynchronous) {
      const auto outcome = std::make_shared<detail::StepOutcome>();
      engine->begin_step(step, 0.02F, outcome);
      run.losses.push_back(outcome->wait());
    } else {
      run.losses.push_back(engine->step(step, 0.02F));
    }
  }
  run.parameters = parameters_of(*engine);
  const Gradients gradients = engine->backpropagate(0, {});
  run.gradients.assign(gradients.flat.get(), gradients.flat.get() + run.parameters.size());
  run.logits.resize(static_cast<std::size_t>(n) * 10);
  engine->logits(0, run.logits.data());
  return run;
}

void test_same_bits(const std::string& isa) {
  for (const std::int64_t n : {1, 7, 34}) {
    const Run expected = train(1, n, false);
    for (const int threads : {1, 2, 3, 5, 16}) {
      CHECK(train(threads, n, threads == 3) == expected,
            isa + ": other bits with " + std::to_string(threads) + " threads, n = " + std::to_string(n));
    }
  }
}

void test_gradients_agree_with_step(const std::string& isa) {
  for (const float momentum : {0.0F, 0.9F}) {
    const auto stepped = engine_with(2, momentum);
    const auto applied = engine_with(2, momentum);
    for (int i = 0; i < 2; ++i) {
      stage(*stepped, 0, 9 + i);
      stage(*applied, 0, 9 + i);
      const auto before = parameters_of(*applied);
      const Gradients gradients = applied->backpropagate(0, {});
      CHECK(parameters_of(*applied) == before, isa + ": gradients() changed the weights");
      applied->apply_gradients(gradients.flat.get(), 0.05F);
      CHECK(stepped->step(0, 0.05F) == gradients.loss, isa + ": step and gradients differ in the loss");
      CHECK(parameters_of(*stepped) == parameters_of(*applied), isa + ": step is not gradients, then apply_gradients");
    }
    if (momentum > 0) {
      std::vector<float> a(parameters_of(*applied).size()), b(a.size());
      stepped->read_momentum(a.data());
      applied->read_momentum(b.data());
      CHECK(a == b, isa + ": momentum differs");
      for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i);
      stepped->write_momentum(a.data());
      stepped->read_momentum(b.data());
      CHECK(a == b, isa + ": momentum is not read as written");
    }
  }
}

// An image's logits do not depend on its company.
void test_batch_sizes(const std::string& isa) {
  const auto engine = engine_with(3, 0);
  stage(*engine, 0, 131);
  std::vector<float> together(131 * 10);
  engine->logits(0, together.data());
  std::vector<float> images(engine->stage(0, 131).images, engine->stage(0, 131).images + 131 * kImagePixels);
  for (const std::int64_t n : {1, 2, 3, 17, 63, 64, 65, 131}) {
    std::copy_n(images.data(), n * kImagePixels, engine->stage(1, n).images);
    std::vector<float> logits(static_cast<std::size_t>(n) * 10);
    engine->logits(1, logits.data());
    CHECK(std::equal(logits.begin(), logits.end(), together.begin()),
          isa + ": logits depend on n = " + std::to_string(n));
  }
}

void test_classes_and_nan(const std::string& isa) {
  for (const int classes : {2, 3, 1000}) {
    const auto engine = engine_with(2, 0.5F, classes);
    stage(*engine, 0, 5, classes);
    const float first = engine->step(0, 1e-4F);
    const float second = engine->step(0, 1e-4F);
    CHECK(second < first, isa + ": no descent with C = " + std::to_string(classes));
  }
  const auto engine = engine_with(2, 0);
  stage(*engine, 0, 4);
  engine->stage(0, 4).images[100] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(engine->step(0, 0.01F)), isa + ": a NaN in the images must reach the loss");
  CHECK(std::isnan(engine->step(0, 0.01F)), isa + ": NaN weights must reach the loss");
}

// A child of a fork has none of the threads, and trains on.
void test_fork(const std::string& isa) {
  const auto engine = engine_with(3, 0);
  stage(*engine, 0, 6);
  engine->step(0, 0.01F);
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // a child that waits for the parent's threads must not hang the test
    const auto outcome = std::make_shared<detail::StepOutcome>();
    engine->begin_step(0, 0.01F, outcome);
    const float loss = outcome->wait();
    _exit(std::isfinite(loss) && std::isfinite(engine->step(0, 0.01F)) ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0, isa + ": a step after fork, status " + std::to_string(status));
  CHECK(std::isfinite(engine->step(0, 0.01F)), isa + ": the parent steps on");
}

}  // namespace

void test_engine(const std::string& isa, bool with_fork) {
  test_same_bits(isa);
  test_gradients_agree_with_step(isa);
  test_batch_sizes(isa);
  test_classes_and_nan(isa);
  if (with_fork) test_fork(isa);
}

void test_instruction_set_choice() {
  setenv("MPSMNIST_ISA", "sse9", 1);
  std::string message;
  try {
    engine_with(1, 0);
  } catch (const DeviceError& error) {
    message = error.what();
  }
  unsetenv("MPSMNIST_ISA");
  CHECK(message.find("\"sse9\"") != std::string::npos && message.find("has: ") != std::string::npos,
        "the error names what was asked for and what there is: " + message);
}

}  // namespace mpsmnist::test
