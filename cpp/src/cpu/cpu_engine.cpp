// The order of a training step. Each phase is a set of independent tasks for the pool; the kernels do the arithmetic.
#include "cpu/cpu_engine.h"

#include <algorithm>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "cpu/buffer.h"
#include "cpu/cpu_count.h"
#include "cpu/executor.h"
#include "cpu/isa.h"
#include "cpu/kernels.h"
#include "cpu/packing.h"
#include "cpu/softmax.h"
#include "cpu/thread_pool.h"

namespace mpsmnist::cpu {
namespace {

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// What a batch of up to `capacity` images leaves between the phases.
struct Activations {
  Activations() = default;
  Activations(std::int64_t images, int num_classes)
      : capacity(images),
        planes(size(kPlane)),
        codes0(size(kPool0Size)),
        pooled(size(kFlat)),
        codes1(size(kFlat)),
        active_channels(groups() * kFlat),
        active_counts(groups() * kPool1Cells),
        active_values(groups() * kFlat * kFc0Group),
        hidden(size(kHidden)),
        logits(size(num_classes)),
        logit_gradient(size(num_classes)),
        hidden_gradient(size(kHidden)),
        pooled_gradient(size(kFlat)),
        conv0_partials(static_cast<std::size_t>(std::min(images, kConv0Groups)) * kConv0Partial),
        losses(size(1)) {}

  /// conv0's weight gradient is summed in at most this many groups of images, then over the groups. The number of
  /// images in a group depends on the batch size alone, and so do the bits of the result.
  static constexpr std::int64_t kConv0Groups = 64;
  static std::int64_t images_per_group(std::int64_t n) { return divide_up(n, kConv0Groups); }

  ActiveInputs active() { return {active_channels.data(), active_counts.data(), active_values.data()}; }

  std::int64_t capacity = 0;
  Buffer<float> planes;
  Buffer<std::uint8_t> codes0;
  Buffer<float> pooled;
  Buffer<std::uint8_t> codes1;
  Buffer<std::uint8_t> active_channels;
  Buffer<std::uint8_t> active_counts;
  Buffer<float> active_values;
  Buffer<float> hidden;
  Buffer<float> logits;
  Buffer<float> logit_gradient;
  Buffer<float> hidden_gradient;
  Buffer<float> pooled_gradient;
  Buffer<float> conv0_partials;
  Buffer<double> losses;

 private:
  std::size_t groups() const { return static_cast<std::size_t>(divide_up(capacity, kFc0Group)); }
  std::size_t size(int per_image) const {
    return static_cast<std::size_t>(capacity) * static_cast<std::size_t>(per_image);
  }
};

struct Slot {
  std::int64_t count = 0;
  std::int64_t capacity = 0;
  Buffer<float> images;
  Buffer<float> labels;
};

class CpuEngine final : public Engine {
 public:
  explicit CpuEngine(const EngineOptions& options);

  StagedBatch stage(int slot, std::int64_t n) override;
  void begin_step(int slot, float learning_rate, std::shared_ptr<detail::StepOutcome> outcome) override;
  float step(int slot, float learning_rate) override;
  void recover() override { failed_ = false; }
  void logits(int slot, float* out) override;
  float gradients(int slot, float* flat) override;
  void apply_gradients(const float* flat, float learning_rate) override;
  void read_parameters(float* flat) override { packing_.unpack(weights_.data(), flat); }
  void write_parameters(const float* flat) override;
  void read_momentum(float* flat) override { packing_.unpack(velocity_.data(), flat); }
  void write_momentum(const float* flat) override { packing_.pack(flat, velocity_.data()); }
  int threads() const noexcept override { return pool_.threads(); }

 private:
  // Where a pass puts the gradients: into `gradient_`, or straight into the weights.
  struct Target {
    float* gradient = nullptr;
    float learning_rate = 0;
  };

  float run_step(Slot& slot, float learning_rate);
  void prepare(std::int64_t n);
  void forward(const float* images, std::int64_t n);
  float loss_and_its_gradient(const float* labels, std::int64_t n);
  void fc_backward(std::int64_t n, const Target& target);
  void conv_backward(const float* images, std::int64_t n, const Target& target);
  void finish_convolutions(std::int64_t n, const Target& target);
  void transform_conv1_weights();

  float backpropagate(Slot& slot, const Target& target);
  void convolve_images(const float* images, std::int64_t first, std::int64_t count, float* scratch);
  void update_conv1(int part, const Target& target);
  void transform_conv1(int part);
  float* conv1_gradient(const Target& target);
  void ensure_gradient();
  Sink sink(ParameterIndex index, const Target& target);
  float* weight(ParameterIndex index) { return weights_.data() + packing_.offset(index); }
  float* scratch(int thread) { return scratch_.data() + static_cast<std::size_t>(thread) * kThreadScratch; }
  std::int64_t images_per_task(std::int64_t n, std::int64_t most) const {
    return std::clamp<std::int64_t>(n / pool_.threads(), 1, most);
  }

  static constexpr int kConv1Parts = 8;  // four groups of 16 output channels, two halves of input channels
  // What the kernels need, then the gradient of pool0's output of one block of images.
  static constexpr std::size_t kThreadScratch = kScratchFloats + kMaxBlock * kPool0Size;

  const Kernels& kernels_;
  const int num_classes_;
  const float momentum_;
  const Packing packing_;
  ThreadPool pool_;
  Buffer<float> weights_;
  Buffer<float> velocity_;        // empty when momentum is 0
  Buffer<float> gradient_;        // empty until gradients() or apply_gradients()
  Buffer<float> conv1_gradient_;  // weights, then biases
  Buffer<float> conv1_forward_;   // conv1's weights as Winograd wants them, forward and backward
  Buffer<float> conv1_backward_;
  Buffer<float> scratch_;
  Activations activations_;
  Slot slots_[kSlots];
  bool failed_ = false;
  Executor executor_;  // last, so that it stops first
};

CpuEngine::CpuEngine(const EngineOptions& options)
    : kernels_(choose_kernels()),
      num_classes_(options.num_classes),
      momentum_(options.momentum),
      packing_(options.parameters, options.num_classes),
      pool_(options.threads > 0 ? options.threads : usable_cores()),
      weights_(packing_.total()),
      velocity_(options.momentum > 0 ? packing_.total() : 0),
      conv1_gradient_(packing_.size(kConv1Weight) + packing_.size(kConv1Bias)),
      conv1_forward_(kFrequencies * kFilterFrequency),
      conv1_backward_(kFrequencies * kFilterFrequency),
      scratch_(kThreadScratch * static_cast<std::size_t>(pool_.threads())) {}

StagedBatch CpuEngine::stage(int index, std::int64_t n) {
  Slot& slot = slots_[index];
  if (n > slot.capacity) {
    slot = Slot{};
    const auto count = static_cast<std::size_t>(n);
    slot.images = Buffer<float>(count * kImagePixels);
    slot.labels = Buffer<float>(count * static_cast<std::size_t>(num_classes_));
    slot.capacity = n;
  }
  slot.count = n;
  return {slot.images.data(), slot.labels.data()};
}

void CpuEngine::begin_step(int slot, float learning_rate, std::shared_ptr<detail::StepOutcome> outcome) {
  const auto job = [this, slot, learning_rate, outcome = std::move(outcome)] {
    if (failed_) {
      outcome->fail("[cpu] a step before this one failed");
      return;
    }
    try {
      outcome->complete(run_step(slots_[slot], learning_rate));
    } catch (const std::exception& error) {
      failed_ = true;
      outcome->fail(error.what());
    }
  };
  try {
    executor_.submit(job);
  } catch (const std::system_error& error) {
    throw DeviceError("[cpu] could not start a thread for the step: " + std::string(error.what()));
  }
}

float CpuEngine::step(int slot, float learning_rate) {
  if (failed_) throw DeviceError("[cpu] a step before this one failed");
  return run_step(slots_[slot], learning_rate);
}

float CpuEngine::run_step(Slot& slot, float learning_rate) {
  return backpropagate(slot, {.gradient = nullptr, .learning_rate = learning_rate});
}

// All that can fail happens in prepare(), before anything changes.
float CpuEngine::backpropagate(Slot& slot, const Target& target) {
  const std::int64_t n = slot.count;
  prepare(n);
  forward(slot.images.data(), n);
  const float loss = loss_and_its_gradient(slot.labels.data(), n);
  fc_backward(n, target);
  conv_backward(slot.images.data(), n, target);
  finish_convolutions(n, target);
  return loss;
}

void CpuEngine::prepare(std::int64_t n) {
  if (n <= activations_.capacity) return;
  try {
    activations_ = Activations();
    activations_ = Activations(n, num_classes_);
  } catch (const std::bad_alloc&) {
    throw DeviceError("[cpu] out of memory for a batch of " + std::to_string(n) + " images");
  }
}

void CpuEngine::forward(const float* images, std::int64_t n) {
  const std::int64_t block = images_per_task(n, kMaxBlock);
  pool_.run(divide_up(n, block), [&](std::int64_t task, int thread) {
    convolve_images(images, task * block, std::min(block, n - task * block), scratch(thread));
  });
  const std::int64_t groups = divide_up(n, kFc0Group);
  pool_.run(groups, [&](std::int64_t group, int) {
    const std::int64_t first = group * kFc0Group;
    kernels_.fc0_list_active(activations_.pooled.data() + first * kFlat,
                             static_cast<int>(std::min<std::int64_t>(kFc0Group, n - first)), group,
                             activations_.active());
  });
  // Each panel of fc0's weights is read once for every 64 images or so, which bounds the traffic of large batches.
  const std::int64_t blocks = divide_up(n, 64);
  pool_.run(kPanels * blocks, [&](std::int64_t task, int) {
    const std::int64_t block = task / kPanels;
    kernels_.fc0_forward(activations_.active(), weight(kFc0Weight), weight(kFc0Bias), n,
                         static_cast<int>(task % kPanels), groups * block / blocks, groups * (block + 1) / blocks,
                         activations_.hidden.data());
  });
}

void CpuEngine::convolve_images(const float* images, std::int64_t first, std::int64_t count, float* scratch) {
  for (std::int64_t i = first; i < first + count; ++i) {
    kernels_.conv0_forward(images + i * kImagePixels, weight(kConv0Weight), weight(kConv0Bias),
                           activations_.planes.data() + i * kPlane, activations_.codes0.data() + i * kPool0Size);
  }
  kernels_.conv1_forward(activations_.planes.data() + first * kPlane, static_cast<int>(count), conv1_forward_.data(),
                         weight(kConv1Bias), scratch, activations_.pooled.data() + first * kFlat,
                         activations_.codes1.data() + first * kFlat);
}

float CpuEngine::loss_and_its_gradient(const float* labels, std::int64_t n) {
  const std::int64_t block = images_per_task(n, 8);
  pool_.run(divide_up(n, block), [&](std::int64_t task, int) {
    const std::int64_t first = task * block;
    const std::int64_t last = std::min(first + block, n);
    float* logits = activations_.logits.data();
    float* gradient = activations_.logit_gradient.data();
    kernels_.fc1_forward(activations_.hidden.data(), weight(kFc1Weight), weight(kFc1Bias), n, num_classes_, first, last,
                         logits);
    for (std::int64_t i = first; i < last; ++i) {
      activations_.losses.data()[i] =
          softmax_cross_entropy(logits + i * num_classes_, labels + i * num_classes_, num_classes_,
                                1.0 / static_cast<double>(n), gradient + i * num_classes_);
    }
    kernels_.fc1_data_gradient(gradient, weight(kFc1Weight), activations_.hidden.data(), n, num_classes_, first, last,
                               activations_.hidden_gradient.data());
  });
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += activations_.losses.data()[i];
  return static_cast<float>(sum / static_cast<double>(n));
}

void CpuEngine::fc_backward(std::int64_t n, const Target& target) {
  const Sink fc0 = sink(kFc0Weight, target);
  const Sink fc0_bias = sink(kFc0Bias, target);
  const Sink fc1 = sink(kFc1Weight, target);
  const Sink fc1_bias = sink(kFc1Bias, target);
  pool_.run(kFc0RowTasks + kPanels, [&](std::int64_t task, int thread) {
    if (task < kPanels) {
      kernels_.fc1_weight_gradient(activations_.logit_gradient.data(), activations_.hidden.data(),
                                   activations_.hidden_gradient.data(), n, num_classes_, static_cast<int>(task), fc1,
                                   fc1_bias, fc0_bias);
    } else {
      kernels_.fc0_backward(activations_.pooled.data(), weight(kFc0Weight), activations_.hidden_gradient.data(), n,
                            static_cast<int>(task - kPanels) * kFc0Rows, scratch(thread),
                            activations_.pooled_gradient.data(), fc0);
    }
  });
}

void CpuEngine::conv_backward(const float* images, std::int64_t n, const Target& target) {
  // Long tasks first: conv1's weight gradient over all images for some channels, then the data gradient of some images.
  // Every task reads the planes of all images once, so few threads had better have few tasks.
  const int channels = pool_.threads() > 8 ? 4 : pool_.threads() > 2 ? 8 : 16;
  const int weight_tasks = kConv1Channels / channels;
  const std::int64_t group = Activations::images_per_group(n);
  const std::int64_t block = group > 1 ? group : images_per_task(n, kMaxBlock);
  float* gradient = conv1_gradient(target);
  float* bias_gradient = target.gradient != nullptr ? target.gradient + packing_.offset(kConv1Bias)
                                                    : conv1_gradient_.data() + packing_.size(kConv1Weight);
  pool_.run(weight_tasks + divide_up(n, block), [&](std::int64_t task, int thread) {
    if (task < weight_tasks) {
      const int first = static_cast<int>(task) * channels;
      kernels_.conv1_weight_gradient(activations_.planes.data(), activations_.pooled_gradient.data(),
                                     activations_.codes1.data(), n, first, first + channels, gradient, bias_gradient);
      return;
    }
    const std::int64_t first = (task - weight_tasks) * block;
    const std::int64_t last = std::min(first + block, n);
    float* plane_gradient = scratch(thread) + kScratchFloats;
    for (std::int64_t i = first; i < last; i += kMaxBlock) {
      const std::int64_t count = std::min<std::int64_t>(kMaxBlock, last - i);
      kernels_.conv1_data_gradient(activations_.pooled_gradient.data() + i * kFlat,
                                   activations_.codes1.data() + i * kFlat, static_cast<int>(count),
                                   conv1_backward_.data(), scratch(thread), plane_gradient);
      for (std::int64_t k = i; k < i + count; ++k) {
        float* partial = activations_.conv0_partials.data() + k / group * kConv0Partial;
        if (k % group == 0) std::fill_n(partial, kConv0Partial, 0.0F);
        kernels_.conv0_weight_gradient(images + k * kImagePixels, plane_gradient + (k - i) * kPool0Size,
                                       activations_.codes0.data() + k * kPool0Size, partial);
      }
    }
  });
}

void CpuEngine::finish_convolutions(std::int64_t n, const Target& target) {
  pool_.run(kConv1Parts + 1, [&](std::int64_t task, int) {
    if (task < kConv1Parts) {
      if (target.gradient == nullptr) update_conv1(static_cast<int>(task), target);
      return;
    }
    kernels_.conv0_reduce(activations_.conv0_partials.data(), divide_up(n, Activations::images_per_group(n)),
                          sink(kConv0Weight, target), sink(kConv0Bias, target));
    if (target.gradient == nullptr) {
      kernels_.update(conv1_gradient_.data() + packing_.size(kConv1Weight), kConv1Channels, sink(kConv1Bias, target));
    }
  });
}

void CpuEngine::update_conv1(int part, const Target& target) {
  const Sink all = sink(kConv1Weight, target);
  for (int out = part / 2 * 16; out < part / 2 * 16 + 16; ++out) {
    const std::size_t at = static_cast<std::size_t>(out * kConv1Filter + part % 2 * kTaps * kHalf);
    Sink filter = all;
    filter.weight += at;
    if (filter.velocity != nullptr) filter.velocity += at;
    kernels_.update(conv1_gradient_.data() + at, kTaps * kHalf, filter);
  }
  transform_conv1(part);
}

void CpuEngine::transform_conv1(int part) {
  kernels_.conv1_transform_weights(weight(kConv1Weight), part / 2, part % 2, conv1_forward_.data(),
                                   conv1_backward_.data());
}

void CpuEngine::transform_conv1_weights() {
  pool_.run(kConv1Parts, [&](std::int64_t part, int) { transform_conv1(static_cast<int>(part)); });
}

float* CpuEngine::conv1_gradient(const Target& target) {
  return target.gradient != nullptr ? target.gradient + packing_.offset(kConv1Weight) : conv1_gradient_.data();
}

Sink CpuEngine::sink(ParameterIndex index, const Target& target) {
  const std::size_t at = packing_.offset(index);
  if (target.gradient != nullptr) return {.gradient = target.gradient + at};
  return {.gradient = nullptr,
          .weight = weights_.data() + at,
          .velocity = momentum_ > 0 ? velocity_.data() + at : nullptr,
          .learning_rate = target.learning_rate,
          .momentum = momentum_};
}

void CpuEngine::ensure_gradient() {
  if (gradient_.size() != 0) return;
  try {
    gradient_ = Buffer<float>(packing_.total());
  } catch (const std::bad_alloc&) {
    throw DeviceError("[cpu] out of memory for the gradients");
  }
}

void CpuEngine::logits(int index, float* out) {
  const std::int64_t n = slots_[index].count;
  prepare(n);
  forward(slots_[index].images.data(), n);
  const std::int64_t block = images_per_task(n, 8);
  pool_.run(divide_up(n, block), [&](std::int64_t task, int) {
    kernels_.fc1_forward(activations_.hidden.data(), weight(kFc1Weight), weight(kFc1Bias), n, num_classes_,
                         task * block, std::min((task + 1) * block, n), out);
  });
}

float CpuEngine::gradients(int slot, float* flat) {
  ensure_gradient();
  const float loss = backpropagate(slots_[slot], {.gradient = gradient_.data()});
  packing_.unpack(gradient_.data(), flat);
  return loss;
}

void CpuEngine::apply_gradients(const float* flat, float learning_rate) {
  ensure_gradient();
  packing_.pack(flat, gradient_.data());
  Sink all = sink(kConv0Weight, {.gradient = nullptr, .learning_rate = learning_rate});
  kernels_.update(gradient_.data(), packing_.total(), all);
  transform_conv1_weights();
}

void CpuEngine::write_parameters(const float* flat) {
  packing_.pack(flat, weights_.data());
  transform_conv1_weights();
}

}  // namespace

std::unique_ptr<Engine> make_engine(const EngineOptions& options) {
  try {
    return std::make_unique<CpuEngine>(options);
  } catch (const std::system_error& error) {
    throw DeviceError("[cpu] could not start the threads: " + std::string(error.what()));
  } catch (const std::bad_alloc&) {
    throw DeviceError("[cpu] out of memory for the weights");
  }
}

}  // namespace mpsmnist::cpu
