#include "cpu/network.h"

#include <atomic>
#include <iterator>
#include <new>
#include <string>

#include "cpu/cpu_count.h"
#include "cpu/isa.h"
#include "cpu/softmax.h"

namespace mpsmnist::cpu {

Network::Network(const EngineOptions& options)
    : kernels_(choose_kernels()),
      num_classes_(options.num_classes),
      momentum_(options.momentum),
      parameters_(options.parameters),
      packing_(options.parameters, options.num_classes),
      team_(options.threads > 0 ? options.threads : usable_cores()),
      weights_(packing_.total()),
      velocity_(options.momentum > 0 ? packing_.total() : 0),
      conv1_forward_(kTransformedFloats),
      conv1_backward_(kTransformedFloats),
      scratch_(kThreadScratch * static_cast<std::size_t>(team_.threads())) {}

float Network::step(const Batch& batch, float learning_rate) {
  const Target target{.learning_rate = learning_rate};
  const float loss = forward(batch);
  connect_backward(batch.n, target);
  convolve_backward(batch.images, batch.n, target);
  finish_convolutions(batch.n, target);
  return loss;
}

float Network::gradients(const Batch& batch, float* flat, const PartFinal& part_final) {
  ensure_packed_gradients();
  const Target target{.gradient = flat};
  const std::int64_t dense = parameters_[kFc0Weight].offset;
  const float loss = forward(batch);
  connect_backward(batch.n, target);
  packing_.unpack(kFc1Weight, packed_fc1_.data(), flat + parameters_[kFc1Weight].offset);
  if (part_final) part_final({flat + dense, static_cast<std::size_t>(total_size(parameters_) - dense)});
  convolve_backward(batch.images, batch.n, target);
  finish_convolutions(batch.n, target);
  packing_.unpack(kConv1Weight, packed_conv1_.data(), flat + parameters_[kConv1Weight].offset);
  if (part_final) part_final({flat, static_cast<std::size_t>(dense)});
  return loss;
}

float Network::forward(const Batch& batch) {
  prepare(batch.n);
  convolve(batch.images, batch.n);
  connect(batch.n);
  return loss_and_its_gradient(batch.labels, batch.n);
}

void Network::ensure_packed_gradients() {
  if (packed_conv1_.size() != 0) return;
  try {
    packed_fc1_ = Buffer<float>(packing_.size(kFc1Weight));
    packed_conv1_ = Buffer<float>(packing_.size(kConv1Weight));
  } catch (const std::bad_alloc&) {
    throw DeviceError("[cpu] out of memory for the gradients");
  }
}

void Network::prepare(std::int64_t n) {
  if (n <= activations_.capacity) return;
  try {
    activations_ = Activations();
    activations_ = Activations(n, num_classes_);
  } catch (const std::bad_alloc&) {
    throw DeviceError("[cpu] out of memory for a batch of " + std::to_string(n) + " images");
  }
}

void Network::convolve(const float* images, std::int64_t n) {
  const std::int64_t block = images_per_task(n, kMaxBlock);
  team_.run(divide_up(n, block), [&](std::int64_t task, int thread) {
    convolve_block(images, task * block, std::min(block, n - task * block), scratch(thread));
  });
}

void Network::connect(std::int64_t n) {
  const std::int64_t groups = divide_up(n, kFc0Group);
  team_.run(groups, [&](std::int64_t group, int) {
    const std::int64_t first = group * kFc0Group;
    kernels_.fc0_list_active(activations_.pooled.data() + first * kFlat,
                             static_cast<int>(std::min<std::int64_t>(kFc0Group, n - first)), group,
                             activations_.active());
  });
  // Each panel of fc0's weights is read once for every 64 images or so, which bounds the traffic of large batches.
  const std::int64_t blocks = divide_up(n, 64);
  team_.run(kPanels * blocks, [&](std::int64_t task, int) {
    const std::int64_t block = task / kPanels;
    kernels_.fc0_forward(activations_.active(), weight(kFc0Weight), weight(kFc0Bias), n,
                         static_cast<int>(task % kPanels), groups * block / blocks, groups * (block + 1) / blocks,
                         activations_.hidden.data());
  });
}

void Network::convolve_block(const float* images, std::int64_t first, std::int64_t count, float* scratch) {
  for (std::int64_t i = first; i < first + count; ++i) {
    kernels_.conv0_forward(images + i * kImagePixels, weight(kConv0Weight), weight(kConv0Bias),
                           activations_.planes.data() + i * kPlane, activations_.codes0.data() + i * kPool0Size);
  }
  kernels_.conv1_forward(activations_.planes.data() + first * kPlane, static_cast<int>(count), conv1_forward_.data(),
                         weight(kConv1Weight), weight(kConv1Bias), scratch, activations_.pooled.data() + first * kFlat,
                         activations_.codes1.data() + first * kFlat);
}

float Network::loss_and_its_gradient(const float* labels, std::int64_t n) {
  const std::int64_t block = images_per_task(n, 8);
  team_.run(divide_up(n, block), [&](std::int64_t task, int) {
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

void Network::connect_backward(std::int64_t n, const Target& target) {
  const Sink fc0 = sink(kFc0Weight, target);
  const Sink fc0_bias = sink(kFc0Bias, target);
  const Sink fc1 = sink(kFc1Weight, target);
  const Sink fc1_bias = sink(kFc1Bias, target);
  team_.run(kFc0RowTasks + kPanels, [&](std::int64_t task, int thread) {
    if (task < kPanels) {
      kernels_.fc1_weight_gradient(activations_.logit_gradient.data(), activations_.hidden.data(),
                                   activations_.hidden_gradient.data(), n, num_classes_, static_cast<int>(task), fc1,
                                   fc1_bias, fc0_bias);
    } else {
      const auto row_task = static_cast<int>(task - kPanels);
      const int next_task = std::min(row_task + team_.threads(), kFc0RowTasks - 1);
      kernels_.fc0_backward(activations_.pooled.data(), weight(kFc0Weight), activations_.hidden_gradient.data(), n,
                            row_task * kFc0Rows, next_task * kFc0Rows, scratch(thread),
                            activations_.pooled_gradient.data(), fc0);
    }
  });
}

void Network::convolve_backward(const float* images, std::int64_t n, const Target& target) {
  // Long tasks first: conv1's weight gradient over all images for some channels, then the data gradient of some images.
  // Every task reads the planes of all images once, so few threads had better have few tasks.
  const int channels = team_.threads() > 8 ? 4 : team_.threads() > 2 ? 8 : 16;
  const int weight_tasks = kConv1Channels / channels;
  const std::int64_t group = Activations::images_per_group(n);
  const std::int64_t block = group > 1 ? group : images_per_task(n, kMaxBlock);
  // The data gradient reads the transformed weights, so the weights themselves can be updated beside it.
  const Sink conv1 = sink(kConv1Weight, target);
  const Sink conv1_bias = sink(kConv1Bias, target);
  team_.run(weight_tasks + divide_up(n, block), [&](std::int64_t task, int thread) {
    if (task < weight_tasks) {
      const int first = static_cast<int>(task) * channels;
      kernels_.conv1_weight_gradient(activations_.planes.data(), activations_.pooled_gradient.data(),
                                     activations_.codes1.data(), n, first, first + channels, scratch(thread), conv1,
                                     conv1_bias);
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

void Network::finish_convolutions(std::int64_t n, const Target& target) {
  const int parts = target.gradient == nullptr ? kConv1Parts : 0;
  team_.run(1 + parts, [&](std::int64_t task, int) {
    if (task == 0) {
      kernels_.conv0_reduce(activations_.conv0_partials.data(), divide_up(n, Activations::images_per_group(n)),
                            sink(kConv0Weight, target), sink(kConv0Bias, target));
    } else {
      transform_conv1(static_cast<int>(task - 1));
    }
  });
}

void Network::transform_conv1(int part) {
  kernels_.conv1_transform_weights(weight(kConv1Weight), part, conv1_forward_.data(), conv1_backward_.data());
}

void Network::transform_conv1_weights() {
  team_.run(kConv1Parts, [&](std::int64_t part, int) { transform_conv1(static_cast<int>(part)); });
}

Sink Network::sink(ParameterIndex index, const Target& target) {
  if (target.gradient != nullptr) {
    if (index == kConv1Weight) return {.gradient = packed_conv1_.data()};
    if (index == kFc1Weight) return {.gradient = packed_fc1_.data()};
    return {.gradient = target.gradient + parameters_[index].offset};
  }
  const std::size_t at = packing_.offset(index);
  return {.gradient = nullptr,
          .weight = weights_.data() + at,
          .velocity = momentum_ > 0 ? velocity_.data() + at : nullptr,
          .learning_rate = target.learning_rate,
          .momentum = momentum_};
}

void Network::logits(const float* images, std::int64_t n, float* out) {
  prepare(n);
  convolve(images, n);
  connect(n);
  const std::int64_t block = images_per_task(n, 8);
  team_.run(divide_up(n, block), [&](std::int64_t task, int) {
    kernels_.fc1_forward(activations_.hidden.data(), weight(kFc1Weight), weight(kFc1Bias), n, num_classes_,
                         task * block, std::min((task + 1) * block, n), out);
  });
}

bool Network::apply(const float* flat, float learning_rate) {
  ensure_packed_gradients();
  const auto size = static_cast<std::size_t>(total_size(parameters_));
  constexpr std::size_t kChunk = 1 << 16;
  std::atomic<bool> finite = true;
  team_.run(divide_up(static_cast<std::int64_t>(size), kChunk), [&](std::int64_t task, int) {
    const std::size_t first = static_cast<std::size_t>(task) * kChunk;
    if (!kernels_.all_finite(flat + first, std::min(kChunk, size - first))) finite = false;
  });
  if (!finite) return false;
  const Target target{.learning_rate = learning_rate};
  const auto gradient = [&](ParameterIndex index) { return flat + parameters_[index].offset; };
  // The tensors but fc0's weights, one a task, then those, some rows a task.
  constexpr ParameterIndex kOthers[] = {kFc1Weight, kConv1Weight, kConv0Weight, kConv0Bias,
                                        kConv1Bias, kFc0Bias,     kFc1Bias};
  constexpr int kOtherTasks = std::size(kOthers);
  team_.run(kOtherTasks + kFc0RowTasks, [&](std::int64_t task, int) {
    if (task >= kOtherTasks) {
      kernels_.fc0_update(gradient(kFc0Weight), static_cast<int>(task - kOtherTasks) * kFc0Rows,
                          sink(kFc0Weight, target));
      return;
    }
    const ParameterIndex index = kOthers[task];
    const float* values = gradient(index);
    if (!Packing::is_flat(index)) {
      float* packed = index == kConv1Weight ? packed_conv1_.data() : packed_fc1_.data();
      packing_.pack(index, values, packed);
      values = packed;
    }
    kernels_.update(values, packing_.size(index), sink(index, target));
  });
  transform_conv1_weights();
  return true;
}

void Network::write_parameters(const float* flat) {
  packing_.pack(flat, weights_.data());
  transform_conv1_weights();
}

}  // namespace mpsmnist::cpu
