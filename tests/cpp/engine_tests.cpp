// The CPU engine as a whole: the same bits whatever the threads, steps that agree with their gradients, any batch size,
// and what failures and forks leave behind.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>

#include "support/engines.h"
#include "support/vectors.h"

namespace mpsmnist::test {
namespace {

struct Run {
  std::vector<float> losses, parameters, gradients, logits;
  bool operator==(const Run&) const = default;
};

Run train(int threads, std::int64_t n, bool asynchronous) {
  const auto engine = engine_with({.threads = threads, .momentum = 0.9F});
  Run run;
  for (int step = 0; step < 2; ++step) {
    stage(*engine, step, n + step);
    run.losses.push_back(asynchronous ? begin_step(*engine, step, 0.02F)->wait() : engine->step(step, 0.02F));
  }
  run.parameters = parameters_of(*engine);
  const Gradients gradients = engine->backpropagate(0, n, {});
  run.gradients.assign(gradients.flat.get(), gradients.flat.get() + run.parameters.size());
  run.logits.resize(static_cast<std::size_t>(n) * 10);
  engine->logits(0, run.logits.data());
  return run;
}

TEST_CASE("engine: the same bits for any number of threads") {
  for_each_cpu_engine([] {
    for (const std::int64_t n : {1, 7, 34}) {
      const Run expected = train(1, n, false);
      for (const int threads : {1, 2, 3, 5, 16}) {
        CAPTURE(n);
        CAPTURE(threads);
        CHECK_MESSAGE(train(threads, n, threads == 3) == expected, "other bits");
      }
    }
  });
}

TEST_CASE("engine: a step is the gradients, then their update") {
  for_each_cpu_engine([] {
    for (const float momentum : {0.0F, 0.9F}) {
      CAPTURE(momentum);
      const auto stepped = engine_with({.momentum = momentum});
      const auto applied = engine_with({.momentum = momentum});
      for (int i = 0; i < 2; ++i) {
        stage(*stepped, 0, 9 + i);
        stage(*applied, 0, 9 + i);
        const auto before = parameters_of(*applied);
        const Gradients gradients = applied->backpropagate(0, 9 + i, {});
        CHECK_MESSAGE(parameters_of(*applied) == before, "backpropagate() changed the weights");
        CHECK(applied->apply_gradients(gradients.flat.get(), 0.05F));
        CHECK(stepped->step(0, 0.05F) == gradients.loss);
        CHECK_MESSAGE(parameters_of(*stepped) == parameters_of(*applied), "other weights");
      }
      if (momentum == 0) continue;
      std::vector<float> a(parameters_of(*applied).size()), b(a.size());
      stepped->read_momentum(a.data());
      applied->read_momentum(b.data());
      CHECK_MESSAGE(a == b, "other momentum");
    }
  });
}

TEST_CASE("engine: gradients that are not all finite change nothing") {
  for_each_cpu_engine([] {
    const auto engine = engine_with({.momentum = 0.9F});
    const auto before = parameters_of(*engine);
    const std::size_t size = before.size();
    std::vector<float> gradients(size, 1), momentum(size);
    for (const std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
      CAPTURE(at);
      gradients[at] = kNan;
      CHECK(!engine->apply_gradients(gradients.data(), 0.1F));
      gradients[at] = 1;
    }
    CHECK_MESSAGE(parameters_of(*engine) == before, "the weights changed");
    engine->read_momentum(momentum.data());
    CHECK_MESSAGE(momentum == std::vector<float>(size), "the momentum changed");
  });
}

TEST_CASE("engine: momentum is read as it was written") {
  for_each_cpu_engine([] {
    const auto engine = engine_with({.momentum = 0.9F});
    std::vector<float> written(parameters_of(*engine).size()), read(written.size());
    for (std::size_t i = 0; i < written.size(); ++i) written[i] = static_cast<float>(i);
    engine->write_momentum(written.data());
    engine->read_momentum(read.data());
    CHECK_MESSAGE(read == written, "other momentum");
  });
}

TEST_CASE("engine: the logits of an image do not depend on its company") {
  for_each_cpu_engine([] {
    constexpr std::int64_t kImages = 131;
    const auto engine = engine_with({.threads = 3});
    stage(*engine, 0, kImages);
    std::vector<float> together(kImages * 10);
    engine->logits(0, together.data());
    const float* images = engine->stage(0, kImages).images;
    for (const std::int64_t n : {1, 2, 3, 17, 63, 64, 65, 131}) {
      CAPTURE(n);
      std::copy_n(images, n * kImagePixels, engine->stage(1, n).images);
      std::vector<float> logits(static_cast<std::size_t>(n) * 10);
      engine->logits(1, logits.data());
      CHECK(std::equal(logits.begin(), logits.end(), together.begin()));
    }
  });
}

TEST_CASE("engine: the loss falls with any number of classes") {
  for_each_cpu_engine([] {
    for (const int classes : {2, 3, 1000}) {
      CAPTURE(classes);
      const auto engine = engine_with({.momentum = 0.5F, .num_classes = classes});
      stage(*engine, 0, 5, classes);
      const float first = engine->step(0, 1e-4F);
      CHECK(engine->step(0, 1e-4F) < first);
    }
  });
}

TEST_CASE("engine: a NaN reaches the loss") {
  for_each_cpu_engine([] {
    const auto engine = engine_with({});
    stage(*engine, 0, 4);
    engine->stage(0, 4).images[100] = kNan;
    CHECK(std::isnan(engine->step(0, 0.01F)));
    CHECK_MESSAGE(std::isnan(engine->step(0, 0.01F)), "the weights are NaN now");
  });
}

constexpr char kFailedStep[] = "engine: after a failed step others fail too, until recover()";

#if defined(__linux__) && !defined(MPSMNIST_SANITIZED)

// While it lives, this process may have `bytes` more of memory.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t bytes) {
    REQUIRE(getrlimit(RLIMIT_AS, &before_) == 0);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    REQUIRE(pages > 0);
    const rlimit limit{pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + bytes, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    rlimit in_force{};
    getrlimit(RLIMIT_AS, &in_force);
    REQUIRE_MESSAGE(in_force.rlim_cur == limit.rlim_cur, "this system ignores limits on memory");
  }
  ~MemoryLimit() { setrlimit(RLIMIT_AS, &before_); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  rlimit before_{};
};

// Left out under emulators, which ignore the limit: -tce='*failed step*'.
TEST_CASE(kFailedStep) {
  constexpr std::int64_t kTooMany = 4000;  // their activations take 100 KB each
  const auto engine = engine_with({});
  stage(*engine, 0, 4);
  stage(*engine, 1, kTooMany);
  begin_step(*engine, 0, 0.01F)->wait();
  const auto begin_and_wait = [&](int slot) { return begin_step(*engine, slot, 0.01F)->wait(); };
  const auto step = [&](int slot) { return engine->step(slot, 0.01F); };
  const auto check = [&](const auto& fail) {
    const auto before = parameters_of(*engine);
    {
      const MemoryLimit limit(std::size_t{64} << 20);
      CHECK_THROWS_WITH_AS(fail(1), "[cpu] out of memory for a batch of 4000 images", DeviceError);
    }
    for (const char* which : {"first", "second"}) {
      CAPTURE(which);
      CHECK_THROWS_WITH_AS(begin_and_wait(0), "[cpu] a step before this one failed", DeviceError);
      CHECK_THROWS_WITH_AS(step(0), "[cpu] a step before this one failed", DeviceError);
    }
    CHECK_MESSAGE(parameters_of(*engine) == before, "a step that failed changed the weights");

    engine->recover();
    CHECK(std::isfinite(begin_and_wait(0)));
    CHECK(std::isfinite(step(0)));
    CHECK_MESSAGE(parameters_of(*engine) != before, "training does not go on");
  };
  check(begin_and_wait);
  check(step);
}

#else

TEST_CASE(kFailedStep) {
  MESSAGE("skipped: needs a limit on this process's memory, which macOS lacks and sanitizers do not survive");
}

#endif

// Left out under emulators that cannot start threads in a forked child: -tce='*fork*'.
TEST_CASE("engine: a forked child, which has none of the threads, trains on") {
  for_each_cpu_engine([] {
    const auto engine = engine_with({.threads = 3});
    stage(*engine, 0, 6);
    engine->step(0, 0.01F);
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);  // a child that waits for the parent's threads must not hang the test
      const bool trains = std::isfinite(begin_step(*engine, 0, 0.01F)->wait()) && std::isfinite(engine->step(0, 0.01F));
      _exit(trains ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK_MESSAGE(std::isfinite(engine->step(0, 0.01F)), "the parent trains on");
  });
}

}  // namespace
}  // namespace mpsmnist::test
