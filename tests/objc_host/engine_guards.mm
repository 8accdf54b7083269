// What Trainer cannot reach of the MPSGraph engine: its own guards, each of which refuses with DeviceError what the
// rest of the engine never passes, and gradients announced in parts. Compiled as the core is, over the host.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "host_control.h"
#include "model.h"
#include "mps/command.h"
#include "mps/mps_engine.h"

namespace {

/// While this is there, its thread has no memory between the encoding of a run and its commit.
class NoMemoryBeforeCommit {
 public:
  NoMemoryBeforeCommit() : encodes_(objc_host_count(OBJC_HOST_ENCODES)), commits_(objc_host_count(OBJC_HOST_COMMITS)) {
    current_ = this;
  }
  ~NoMemoryBeforeCommit() { current_ = nullptr; }

  static bool applies() {
    return current_ != nullptr && objc_host_count(OBJC_HOST_ENCODES) > current_->encodes_ &&
           objc_host_count(OBJC_HOST_COMMITS) == current_->commits_;
  }

 private:
  static thread_local const NoMemoryBeforeCommit* current_;
  const std::int64_t encodes_, commits_;
};
thread_local const NoMemoryBeforeCommit* NoMemoryBeforeCommit::current_ = nullptr;

}  // namespace

// operator new as the engine calls it: the linker's --wrap, as a definition of it would clash with ThreadSanitizer's.
extern "C" void* __real__Znwm(std::size_t size);
extern "C" void* __wrap__Znwm(std::size_t size) {
  if (NoMemoryBeforeCommit::applies()) throw std::bad_alloc();
  return __real__Znwm(size);
}

namespace {

using namespace mpsmnist;
using namespace mpsmnist::mps;

constexpr int kClasses = 10;
constexpr std::int64_t kBatch = 2;

int failures = 0;

void expect(bool good, const char* what) {
  if (good) return;
  ++failures;
  std::printf("FAILED %s\n", what);
}

void expect_refusal(const std::string& expected, const std::function<void()>& use) {
  std::string message = "nothing was thrown";
  try {
    with_autorelease_pool([&] { use(); });
  } catch (const DeviceError& error) {
    message = error.what();
  }
  const bool passed = message == expected;
  failures += passed ? 0 : 1;
  std::printf("%s %s\n", passed ? "refused:" : ("FAILED, expected \"" + expected + "\":").c_str(), message.c_str());
}

EngineOptions options() { return {.parameters = model_parameters(kClasses), .num_classes = kClasses}; }

/// A prediction that is ready to be encoded: the images and weights, and a place for the logits.
struct Prediction {
  Device device = open_device();
  std::shared_ptr<const Program> program = compile(device, options(), Purpose::kPredict, kBatch);
  Slot slot = resized(device, make_slot(device, kClasses), kBatch);
  ParameterTensors weights = make_parameter_tensors(device, options().parameters);
  TensorRefs feeds = {&slot.images};
  TensorRefs targets = {&slot.logits};

  Prediction() {
    for (const FloatTensor& tensor : weights) feeds.push_back(&tensor);
  }

  EncodedRun encoded() const { return encode(device, *program, feeds, targets); }
};

using Change = std::function<void(Prediction&)>;

void refuses_to_encode(const std::string& expected, const Change& change) {
  objc_host_reset();
  expect_refusal(expected, [&] {
    Prediction prediction;
    change(prediction);
    prediction.encoded();
  });
  expect(objc_host_count(OBJC_HOST_ENCODES) == 0, "what is refused is not encoded");
}

void refuses_to_compile(objc_host_tensors kind, const std::string& expected) {
  objc_host_reset();
  objc_host_set_tensors(kind);
  expect_refusal(expected, [] { compile(open_device(), options(), Purpose::kTrain, kBatch); });
}

void a_failure_may_lack_a_reason() {
  objc_host_reset();
  objc_host_fail_commit(1, nullptr);
  expect_refusal("[where] command buffer failed without a reason", [] {
    const Prediction prediction;
    commit_and_wait(prediction.device, prediction.encoded(), "where");
  });
}

void right_use_computes() {
  objc_host_reset();
  with_autorelease_pool([] {
    const Prediction prediction;
    commit_and_wait(prediction.device, prediction.encoded(), "where");
  });
}

/// An engine with a batch staged in slot 0.
std::unique_ptr<Engine> engine_with_batch() {
  auto engine = mps::make_engine(options());
  engine->write_parameters(initial_parameters(options().parameters, Init::kHe, 1).data());
  const StagedBatch batch = engine->stage(0, kBatch);
  std::fill_n(batch.images, kBatch * kImagePixels, 0.5F);
  std::fill_n(batch.labels, kBatch * kClasses, 1.0F / kClasses);
  return engine;
}

void final_parts_cover_the_gradients_once() {
  objc_host_reset();
  const auto engine = engine_with_batch();
  std::vector<GradientPart> parts;
  const auto keep = [&](const GradientPart& part) { parts.push_back(part); };
  const Gradients gradients = engine->backpropagate(0, kBatch, keep);
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  const float* next = gradients.flat.get();
  for (const GradientPart& part : parts) {
    expect(part.values.get() == next, "a part begins where the one before it ends");
    next = part.values.get() + part.size;
  }
  expect(next == gradients.flat.get() + total_size(options().parameters), "the parts reach the end of the gradients");
}

void an_exception_from_a_listener_leaves_the_engine_usable() {
  objc_host_reset();
  const auto engine = engine_with_batch();
  const auto size = static_cast<std::size_t>(total_size(options().parameters));
  const Gradients before = engine->backpropagate(0, kBatch, {});
  std::string message;
  try {
    engine->backpropagate(0, kBatch, [](const GradientPart&) { throw std::runtime_error("a peer left"); });
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  expect(message == "a peer left", "what a listener throws ends backpropagate()");
  const Gradients after = engine->backpropagate(0, kBatch, {});
  expect(after.loss == before.loss && std::equal(before.flat.get(), before.flat.get() + size, after.flat.get()),
         "the gradients are the same afterwards");
}

bool ends_in_time(const detail::StepOutcome& outcome) {
  for (int i = 0; i < 30'000 && !outcome.done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return outcome.done();
}

/// Many steps, as a queue of steps needs memory now and then only.
void a_step_without_memory_leaves_none_open() {
  objc_host_reset();
  const auto engine = engine_with_batch();
  for (int i = 0; i < 20; ++i) {
    auto starved = std::make_shared<detail::StepOutcome>(), next = std::make_shared<detail::StepOutcome>();
    bool begun = true;
    try {
      const NoMemoryBeforeCommit no_memory;
      engine->begin_step(0, 0.01F, starved);
    } catch (const std::bad_alloc&) {
      begun = false;
    }
    if (begun) starved->wait();
    engine->begin_step(0, 0.01F, next);
    expect(ends_in_time(*next), "a step ends after one without memory");
    if (failures == 0) continue;
    std::fflush(stdout);
    std::_Exit(1);  // the engine would wait for the step
  }
}

}  // namespace

int main() {
  refuses_to_encode("[mps encode] got 8 tensors, expected 9", [](Prediction& p) { p.feeds.pop_back(); });
  refuses_to_encode("[mps encode] got 2 tensors, expected 1", [](Prediction& p) { p.targets.push_back(&p.slot.loss); });
  refuses_to_encode("[mps encode] the tensor conv0.bias does not fit conv0.weight",
                    [](Prediction& p) { std::swap(p.feeds[1], p.feeds[2]); });
  refuses_to_encode("[mps encode] the tensor images does not fit images",
                    [](Prediction& p) { p.slot.images.buffer = p.slot.loss.buffer; });
  refuses_to_encode("[mps encode] the buffer of images is both a feed and a target",
                    [](Prediction& p) { p.slot.logits.buffer = p.slot.images.buffer; });
  refuses_to_compile(OBJC_HOST_TENSORS_COPIED,
                     "[mps compile] the executable has a tensor that is not one of the feeds");
  refuses_to_compile(OBJC_HOST_TENSORS_MISSING, "[mps compile] the executable has 10 feeds, expected 11");
  a_failure_may_lack_a_reason();
  right_use_computes();
  final_parts_cover_the_gradients_once();
  an_exception_from_a_listener_leaves_the_engine_usable();
  a_step_without_memory_leaves_none_open();
  std::printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
