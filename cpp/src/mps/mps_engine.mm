#include "mps/mps_engine.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "finite.h"
#include "gradient_memory.h"
#include "model.h"
#include "mps/command.h"
#include "mps/step_queue.h"

namespace mpsmnist::mps {
namespace {

void append(TensorRefs& refs, const ParameterTensors& tensors) {
  for (const FloatTensor& tensor : tensors) {
    refs.push_back(&tensor);
  }
}

/// v <- factor*v + g; w <- w - learning_rate*v. Without momentum (null) v is g.
void descend(const FloatTensor& weights, const FloatTensor* momentum, const float* gradient, float factor,
             float learning_rate) {
  float* w = weights.values();
  float* v = momentum == nullptr ? nullptr : momentum->values();
  const std::int64_t count = element_count(weights.shape);
  for (std::int64_t i = 0; i < count; ++i) {
    float direction = gradient[i];
    if (v != nullptr) {
      direction += factor * v[i];
      v[i] = direction;
    }
    w[i] -= learning_rate * direction;
  }
}

class MpsEngine final : public Engine {
 public:
  explicit MpsEngine(const EngineOptions& options)
      : options_(options),
        device_(open_device()),
        gradient_memory_(static_cast<std::size_t>(total_size(options.parameters))) {
    for (Slot& slot : slots_) {
      slot = make_slot(device_, options_.num_classes);
    }
    for (ParameterSet& set : sets_) {
      set = make_parameter_set(device_, options_);
    }
  }

  ~MpsEngine() override {
    steps_->drain();
    @autoreleasepool {  // what these release may autorelease in turn
      programs_ = {};
      gradients_ = {};
      sets_ = {};
      slots_ = {};
      device_ = {};
    }
  }

  StagedBatch stage(int slot_index, std::int64_t n) override {
    return with_autorelease_pool([&]() -> StagedBatch {
      Slot& slot = slot_at(slot_index);
      if (slot.n != n) {
        slot = resized(device_, slot, n);
      }
      return {slot.images.values(), slot.labels.values()};
    });
  }

  void begin_step(int slot_index, float learning_rate, std::shared_ptr<detail::StepOutcome> outcome) override {
    with_autorelease_pool([&] {
      if (steps_->failed()) {
        steps_->finish(steps_->begin(std::move(outcome)), {});  // which fails in turn
        return;
      }
      const Slot& slot = slot_at(slot_index);
      const auto program = programs_.get(device_, options_, Purpose::kTrain, slot.n);
      *slot.learning_rate.values() = learning_rate;  // before encoding, where MPSGraph may commit
      const float* loss = slot.loss.values();  // the slot's while the step runs: the handler need not ask Metal for it
      // Made before begin(): it needs memory, and a ticket must be finished. It holds the program too, which the cache
      // may drop while the step runs.
      std::function<void(RunFailure)> done = [steps = steps_, ticket = steps_->next_ticket(), loss,
                                              program](RunFailure failure) {
        const float value = failure ? 0 : *loss;
        steps->finish(ticket, {std::move(failure), value});
      };
      const EncodedRun run = encode_step(*program, slot);
      steps_->begin(std::move(outcome));
      commit(device_, run, std::move(done));
    });
  }

  void recover() noexcept override { steps_->recover(); }

  void logits(int slot_index, float* out) override {
    with_autorelease_pool([&] {
      const Slot& slot = slot_at(slot_index);
      const std::int64_t padded = padded_batch(slot.n);
      const FloatTensor images = first_rows(slot.images, padded);
      const FloatTensor logits = first_rows(slot.logits, padded);
      // Rows do not depend on one another; zeros, so that what an earlier batch left is not computed with.
      std::fill_n(images.values() + slot.n * kImagePixels, (padded - slot.n) * kImagePixels, 0.0F);
      const auto program = programs_.get(device_, options_, Purpose::kPredict, padded);
      TensorRefs feeds = {&images};
      append(feeds, completed().weights);
      commit_and_wait(device_, encode(device_, *program, feeds, {&logits}), "mps predict");
      std::copy_n(logits.values(), slot.n * options_.num_classes, out);
    });
  }

  Gradients backpropagate(int slot_index, std::int64_t divisor, const OnGradientPart& on_part) override {
    return with_autorelease_pool([&] {
      Gradients result{.flat = gradient_memory_.lend()};
      const Slot& slot = slot_at(slot_index);
      const auto program = programs_.get(device_, options_, Purpose::kGradients, slot.n);
      if (gradients_.empty()) {
        gradients_ = make_parameter_tensors(device_, options_.parameters);
      }
      TensorRefs feeds = {&slot.images, &slot.labels};
      append(feeds, completed().weights);
      TensorRefs targets = {&slot.loss};
      append(targets, gradients_);
      commit_and_wait(device_, encode(device_, *program, feeds, targets), "mps gradients");
      read_flat(gradients_, result.flat.get());
      result.loss = *slot.loss.values();
      const auto size = static_cast<std::int64_t>(gradient_memory_.size());
      if (divisor != slot.n) {  // the graph divides by n
        const float factor = static_cast<float>(static_cast<double>(slot.n) / static_cast<double>(divisor));
        std::transform(result.flat.get(), result.flat.get() + size, result.flat.get(),
                       [factor](float value) { return value * factor; });
      }
      if (on_part) {
        on_part({result.flat, 0, size});
      }
      return result;
    });
  }

  /// On the host, in place: nothing is in flight, the memory is shared, and the gradients come from the host anyway, so
  /// that a graph would only add a copy of them and a wait.
  bool apply_gradients(const float* flat, float learning_rate) override {
    const std::int64_t count = total_size(options_.parameters);
    if (first_not_finite(flat, count) != count) {
      return false;
    }
    with_autorelease_pool([&] {
      const ParameterSet& set = completed();
      for (std::size_t i = 0; i < set.weights.size(); ++i) {
        const FloatTensor* momentum = set.momentum.empty() ? nullptr : &set.momentum[i];
        descend(set.weights[i], momentum, flat + options_.parameters[i].offset, options_.momentum, learning_rate);
      }
    });
    return true;
  }

  void read_parameters(float* flat) override {
    with_autorelease_pool([&] { read_flat(completed().weights, flat); });
  }
  void write_parameters(const float* flat) override {
    with_autorelease_pool([&] { write_flat(completed().weights, flat); });
  }
  void read_momentum(float* flat) override {
    with_autorelease_pool([&] { read_flat(completed().momentum, flat); });
  }
  void write_momentum(const float* flat) override {
    with_autorelease_pool([&] { write_flat(completed().momentum, flat); });
  }

  Diagnostics diagnostics() const override {
    return with_autorelease_pool([&] {
      Diagnostics totals = device_.counters->totals();
      totals.allocated_bytes = static_cast<std::int64_t>(device_.metal.currentAllocatedSize);
      return totals;
    });
  }
  bool survives_fork() const noexcept override { return false; }  // Metal does not
  int threads() const noexcept override { return 1; }

 private:
  Slot& slot_at(int index) { return slots_[static_cast<std::size_t>(index)]; }
  const ParameterSet& set_at(int index) const { return sets_[static_cast<std::size_t>(index)]; }
  const ParameterSet& completed() const { return set_at(steps_->completed_set()); }

  EncodedRun encode_step(const Program& program, const Slot& slot) {
    const StepQueue::Sets sets = steps_->next_sets();
    TensorRefs feeds = {&slot.images, &slot.labels, &slot.learning_rate};
    append(feeds, set_at(sets.read).weights);
    append(feeds, set_at(sets.read).momentum);
    TensorRefs targets = {&slot.loss};
    append(targets, set_at(sets.write).weights);
    append(targets, set_at(sets.write).momentum);
    return encode(device_, program, feeds, targets);
  }

  EngineOptions options_;
  Device device_;
  GradientMemory gradient_memory_;
  ProgramCache programs_;
  std::array<Slot, kSlots> slots_;
  std::array<ParameterSet, StepQueue::kSets> sets_;
  ParameterTensors gradients_;  // made when they are first asked for
  // Shared with the handlers of steps in flight, which may still be leaving it when drain() returns.
  std::shared_ptr<StepQueue> steps_ = std::make_shared<StepQueue>();
};

}  // namespace

std::unique_ptr<Engine> make_engine(const EngineOptions& options) {
  return with_autorelease_pool([&]() -> std::unique_ptr<Engine> { return std::make_unique<MpsEngine>(options); });
}

}  // namespace mpsmnist::mps
