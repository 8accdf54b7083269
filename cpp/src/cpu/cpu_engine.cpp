#include "cpu/cpu_engine.h"

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "buffer.h"
#include "cpu/executor.h"
#include "cpu/isa.h"
#include "cpu/network.h"
#include "cpu_count.h"
#include "gradient_memory.h"
#include "system_limits.h"

namespace mpsmnist::cpu {
namespace {

struct Slot {
  std::int64_t count = 0;
  std::int64_t capacity = 0;
  Buffer<float> images;
  Buffer<float> labels;

  Batch batch() const { return {images.data(), labels.data(), count}; }
};

class CpuEngine final : public Engine, private FactoredGradients {
 public:
  explicit CpuEngine(const EngineOptions& options)
      : network_(options),
        num_classes_(options.num_classes),
        gradient_memory_(static_cast<std::size_t>(total_size(options.parameters))) {}

  StagedBatch stage(int slot, std::int64_t n) override;
  void begin_step(int slot, float learning_rate, std::shared_ptr<detail::StepOutcome> outcome) override;
  float step(int slot, float learning_rate) override;
  void recover() noexcept override { failed_ = false; }
  void logits(int slot, float* out) override { network_.logits(slots_[slot].images.data(), slots_[slot].count, out); }
  Gradients backpropagate(int slot, std::int64_t divisor, const OnGradientPart& on_part) override;
  bool apply_gradients(const float* flat, float learning_rate) override { return network_.apply(flat, learning_rate); }
  FactoredGradients* factored_gradients() noexcept override { return this; }
  Gradients backpropagate(int slot, std::int64_t divisor, const OnFactors& on_factors,
                          const OnGradientPart& on_part) override;
  bool apply_gradients(float* flat, const float* factors, std::int64_t count, float learning_rate) override {
    return network_.apply(flat, factors, count, learning_rate);
  }
  void read_parameters(float* flat) override { network_.read_parameters(flat); }
  void write_parameters(const float* flat) override { network_.write_parameters(flat); }
  void read_momentum(float* flat) override { network_.read_momentum(flat); }
  void write_momentum(const float* flat) override { network_.write_momentum(flat); }
  bool survives_fork() const noexcept override { return true; }
  int threads() const noexcept override { return network_.threads(); }

 private:
  Network network_;
  const int num_classes_;
  GradientMemory gradient_memory_;
  GradientMemory factor_memory_{0};  // for batches of one size
  Slot slots_[kSlots];
  bool failed_ = false;
  Executor executor_;  // last, so that it stops first
};

StagedBatch CpuEngine::stage(int index, std::int64_t n) {
  Slot& slot = slots_[index];
  if (n > slot.capacity) {
    slot = Slot{};
    const auto count = static_cast<std::size_t>(n);
    try {
      slot.images = Buffer<float>(count * kImagePixels);
      slot.labels = Buffer<float>(count * static_cast<std::size_t>(num_classes_));
    } catch (const std::bad_alloc&) {
      throw out_of_memory(n);
    }
    slot.capacity = n;
  }
  slot.count = n;
  return {slot.images.data(), slot.labels.data()};
}

void CpuEngine::begin_step(int slot, float learning_rate, std::shared_ptr<detail::StepOutcome> outcome) {
  executor_.submit([this, slot, learning_rate, outcome = std::move(outcome)] {
    try {
      outcome->complete(with_device_errors("cpu", [&] { return step(slot, learning_rate); }));
    } catch (const std::exception& error) {
      outcome->fail(error.what());
    }
  });
}

float CpuEngine::step(int slot, float learning_rate) {
  if (failed_) throw DeviceError("[cpu] a step before this one failed");
  failed_ = true;  // unless it completes
  const float loss = network_.step(slots_[slot].batch(), learning_rate);
  failed_ = false;
  return loss;
}

/// Tells on_part, unless it is empty, of each part of the gradients that is final.
auto telling_parts(const Gradients& gradients, const OnGradientPart& on_part) {
  return [&](std::int64_t offset, std::int64_t size) {
    if (on_part) on_part({{gradients.flat, gradients.flat.get() + offset}, offset, size});
  };
}

Gradients CpuEngine::backpropagate(int slot, std::int64_t divisor, const OnGradientPart& on_part) {
  Gradients gradients{.flat = gradient_memory_.lend()};
  gradients.loss =
      network_.gradients(slots_[slot].batch(), divisor, gradients.flat.get(), telling_parts(gradients, on_part));
  return gradients;
}

Gradients CpuEngine::backpropagate(int slot, std::int64_t divisor, const OnFactors& on_factors,
                                   const OnGradientPart& on_part) {
  const Batch batch = slots_[slot].batch();
  const auto floats = static_cast<std::size_t>(batch.n * Factors::kColumns);
  if (factor_memory_.size() != floats) factor_memory_ = GradientMemory(floats);
  Gradients gradients{.flat = gradient_memory_.lend()};
  const Factors factors{factor_memory_.lend(), batch.n};
  gradients.loss = network_.factored_gradients(
      batch, divisor, gradients.flat.get(), factors.rows.get(), [&] { on_factors(factors); },
      telling_parts(gradients, on_part));
  return gradients;
}

}  // namespace

std::vector<Fact> describe() try {
  return {{"instruction_set", choose_kernels().isa}, {"cores", std::to_string(usable_cores())}};
} catch (const DeviceError& error) {
  return {{"unavailable", error.what()}};
}

std::unique_ptr<Engine> make_engine(const EngineOptions& options) { return std::make_unique<CpuEngine>(options); }

}  // namespace mpsmnist::cpu
