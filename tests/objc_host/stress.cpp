// The real MPSGraph engine over the host: asynchronous steps with random delays, faults, and nothing that grows.
//
// Usage: stress [steps]. Run it under the sanitizers too.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "host_control.h"
#include "mpsmnist/mpsmnist.h"

namespace {

using mpsmnist::DeviceError;
using mpsmnist::PendingLoss;
using mpsmnist::Trainer;
using mpsmnist::TrainerOptions;

constexpr std::int64_t kBatch = 4;

int failures = 0;

void expect(bool good, const std::string& what) {
  if (good) return;
  ++failures;
  std::printf("FAILED %s\n", what.c_str());
}

struct Batch {
  std::vector<float> pixels;
  std::vector<std::int32_t> classes;

  explicit Batch(unsigned seed) : pixels(kBatch * 28 * 28), classes(kBatch) {
    std::minstd_rand generator(seed);
    for (float& pixel : pixels) pixel = std::uniform_real_distribution<float>(0, 1)(generator);
    for (std::int32_t& value : classes) value = std::uniform_int_distribution<int>(0, 9)(generator);
  }

  mpsmnist::Images images() const { return {.data = pixels.data(), .count = kBatch}; }
  mpsmnist::Labels labels() const { return {.data = classes.data(), .count = kBatch}; }
};

TrainerOptions options(const std::string& device, float momentum) {
  return {.device = device, .learning_rate = 0.01F, .momentum = momentum, .seed = 1, .init = mpsmnist::Init::kHe};
}

std::vector<float> weights(Trainer& trainer) {
  std::vector<float> flat(static_cast<std::size_t>(trainer.parameter_count()));
  trainer.read_state(flat.data(), nullptr);
  return flat;
}

void wait_for_handlers() {
  while (objc_host_count(OBJC_HOST_IN_FLIGHT) > 0) std::this_thread::yield();
}

// Losses of `steps` asynchronous steps, of which up to two are in flight.
std::vector<float> train(Trainer& trainer, int steps, unsigned first_seed) {
  std::deque<PendingLoss> pending;
  std::vector<float> losses;
  for (int step = 0; step < steps; ++step) {
    const Batch batch(first_seed + static_cast<unsigned>(step) % 7);
    pending.push_back(trainer.step_async(batch.images(), batch.labels()));
    if (pending.size() < 3) continue;
    losses.push_back(pending.front().result());
    pending.pop_front();
  }
  for (const PendingLoss& loss : pending) losses.push_back(loss.result());
  return losses;
}

void check_nothing_grows(int steps) {
  objc_host_reset();
  objc_host_set_delays(1, 2000, 2000);
  Trainer trainer(options("mps", 0.9F));
  train(trainer, 10, 1);
  trainer.synchronize();
  wait_for_handlers();
  objc_host_reset();
  objc_host_set_delays(2, 2000, 2000);
  const std::int64_t objects = objc_host_count(OBJC_HOST_LIVE_OBJECTS);
  const std::int64_t buffers = objc_host_count(OBJC_HOST_LIVE_BUFFERS);
  const std::int64_t all_objects = objc_host_count(OBJC_HOST_OBJC_OBJECTS);
  const std::vector<float> losses = train(trainer, steps, 100);
  trainer.synchronize();
  wait_for_handlers();
  std::printf("%d steps: %ld commits, %ld buffers allocated, live objects %ld -> %ld, live buffers %ld -> %ld\n", steps,
              static_cast<long>(objc_host_count(OBJC_HOST_COMMITS)),
              static_cast<long>(objc_host_count(OBJC_HOST_BUFFERS_ALLOCATED)), static_cast<long>(objects),
              static_cast<long>(objc_host_count(OBJC_HOST_LIVE_OBJECTS)), static_cast<long>(buffers),
              static_cast<long>(objc_host_count(OBJC_HOST_LIVE_BUFFERS)));
  expect(objc_host_count(OBJC_HOST_COMMITS) == steps, "one commit per step");
  expect(objc_host_count(OBJC_HOST_COMPILED) == 0, "nothing is compiled after warm-up");
  expect(objc_host_count(OBJC_HOST_BUFFERS_ALLOCATED) == 0, "no buffer is allocated after warm-up");
  expect(objc_host_count(OBJC_HOST_LIVE_OBJECTS) == objects, "live objects stay constant");
  expect(objc_host_count(OBJC_HOST_LIVE_BUFFERS) == buffers, "live buffers stay constant");
  std::printf("all Objective-C objects %ld -> %ld\n", static_cast<long>(all_objects),
              static_cast<long>(objc_host_count(OBJC_HOST_OBJC_OBJECTS)));
  expect(objc_host_count(OBJC_HOST_OBJC_OBJECTS) == all_objects, "Objective-C objects of all classes stay constant");
  for (const float loss : losses) expect(std::isfinite(loss), "losses are finite");
}

// float32 in two orders of summation: each step adds an error of about 1e-6 of a loss near 2.
void check_against_cpu(int steps, int roots, const char* mode) {
  objc_host_reset();
  objc_host_set_roots(roots, 0);
  objc_host_set_mode(mode);
  Trainer mps(options("mps", 0.9F));
  Trainer cpu(options("cpu", 0.9F));
  const std::vector<float> a = train(mps, steps, 1);
  const std::vector<float> b = train(cpu, steps, 1);
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
  std::printf("%d steps against the CPU engine: largest difference of a loss %.1e\n", steps, worst);
  expect(worst < 1e-3, "losses agree with the CPU engine's");
}

// The step fails with the reason's text, the weights are the last completed step's, and training goes on.
void check_fault(std::uint64_t number, int roots) {
  objc_host_reset();
  objc_host_set_roots(roots, 0);
  Trainer trainer(options("mps", 0.9F));
  train(trainer, 3, 1);
  const std::vector<float> before = weights(trainer);
  objc_host_fail_commit(number, "the GPU is on fire");
  const Batch batch(50);
  std::string reason;
  try {
    trainer.step(batch.images(), batch.labels());
  } catch (const DeviceError& error) {
    reason = error.what();
  }
  expect(reason.find("the GPU is on fire") != std::string::npos, "a failed step is a DeviceError with its reason");
  expect(weights(trainer) == before, "after a failed step the weights are the last completed step's");
  expect(std::isfinite(trainer.step(batch.images(), batch.labels())), "training goes on after a failed step");
  expect(weights(trainer) != before, "the step after a failed one updates the weights");
}

// `fault` keeps a Trainer from being made, or from its first step.
void check_refused(const std::string& what, const std::function<void()>& fault) {
  objc_host_reset();
  const std::int64_t objects = objc_host_count(OBJC_HOST_LIVE_OBJECTS);
  fault();
  bool refused = false;
  try {
    Trainer trainer(options("mps", 0));
    const Batch batch(1);
    trainer.step(batch.images(), batch.labels());
  } catch (const DeviceError& error) {
    std::printf("%s: %s\n", what.c_str(), error.what());
    refused = true;
  }
  wait_for_handlers();
  expect(refused, what + " is a DeviceError");
  expect(objc_host_count(OBJC_HOST_LIVE_OBJECTS) == objects, what + " leaves no object behind");
}

void check_nil(int call, const std::string& what) {
  check_refused(what + " nil", [call] { objc_host_return_nil(call, 1, UINT64_MAX); });
}

void check_exception(int call, const std::string& what) {
  check_refused(what + " raising", [call] { objc_host_throw(call, 1, "NSGenericException", "a test asked for it"); });
}

}  // namespace

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 60;
  check_against_cpu(10, 1, "loss-rank=0");
  check_against_cpu(4, 3, "loss-rank=1");
  check_fault(1, 1);
  check_fault(2, 3);
  check_refused("no GPU", [] { objc_host_set_gpus(nullptr, 0, 0); });
  check_nil(OBJC_HOST_QUEUE, "queue");
  check_nil(OBJC_HOST_BUFFER, "buffer");
  check_nil(OBJC_HOST_COMMAND_BUFFER, "command buffer");
  check_nil(OBJC_HOST_TENSOR_DATA, "tensor data");
  check_nil(OBJC_HOST_DESCRIPTOR, "descriptor");
  check_nil(OBJC_HOST_COMPILE, "executable");
  check_exception(OBJC_HOST_QUEUE, "queue");
  check_exception(OBJC_HOST_OPERATION, "operation");
  check_exception(OBJC_HOST_COMPILE, "executable");
  check_exception(OBJC_HOST_ENCODE, "encoding");
  check_exception(OBJC_HOST_COMMIT, "commit");
  check_nothing_grows(steps);
  std::printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
