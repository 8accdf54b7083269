#include "cpu/network.h"

#include <atomic>
#include <cmath>
#include <iterator>
#include <limits>
#include <new>
#include <string>

#include "cpu/isa.h"
#include "cpu/softmax.h"
#include "cpu_count.h"

namespace mpsmnist::cpu {

DeviceError out_of_memory(std::int64_t images) {
  return DeviceError("[cpu] out of memory for a batch of " + std::to_string(images) + " images");
}

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
  const float loss = forward(batch, batch.n);
  dense_backward(batch.n, target);
  convolutions_backward(batch.images, batch.n, target);
  convolutions_finish(batch.n, target);
  return loss;
}

float Network::gradients(const Batch& batch, std::int64_t divisor, float* flat, const OnFinal& on_final) {
  ensure_packed_gradients();
  const Target target{.gradient = flat};
  const float loss = forward(batch, divisor);
  dense_backward(batch.n, target);
  finish_dense_gradients(kFc0Weight, flat, on_final);
  convolution_gradients(batch, flat, on_final);
  return loss;
}

float Network::factored_gradients(const Batch& batch, std::int64_t divisor, float* flat, float* factors,
                                  const std::function<void()>& on_factors, const OnFinal& on_final) {
  ensure_packed_gradients();
  const Target target{.gradient = flat};
  const float loss = forward(batch, divisor);
  const LogitGradient logits{activations_.logit_gradient.data(), num_classes_};
  const Hidden hidden{activations_.hidden.data(), activations_.hidden_gradient.data()};
  const LayerSink fc1 = layer_sink(kFc1Weight, kFc1Bias, target);
  const Sink fc0_bias = sink(kFc0Bias, target);
  team_.run(kPanels + batch.n, [&](std::int64_t task, int) {
    if (task < kPanels) {
      kernels_.fc1_weight_gradient(logits, hidden, batch.n, static_cast<int>(task), fc1, fc0_bias);
      return;
    }
    const std::int64_t image = task - kPanels;
    write_factors(activations_.pooled.data(), hidden.gradient, batch.n, image, factors + image * Factors::kColumns);
  });
  on_factors();
  finish_dense_gradients(kFc0Bias, flat, on_final);
  const Fc0Backward fc0 = fc0_of_batch(batch.n, {});
  team_.run(kFc0RowTasks, [&](std::int64_t task, int thread) {
    fc0_backward_rows(kernels_.fc0_data_gradient, fc0, static_cast<int>(task), thread);
  });
  convolution_gradients(batch, flat, on_final);
  return loss;
}

void Network::finish_dense_gradients(ParameterIndex first, float* flat, const OnFinal& on_final) {
  packing_.unpack(kFc1Weight, packed_fc1_.data(), flat + parameters_[kFc1Weight].offset);
  on_final(parameters_[first].offset, total_size(parameters_) - parameters_[first].offset);
}

void Network::convolution_gradients(const Batch& batch, float* flat, const OnFinal& on_final) {
  const Target target{.gradient = flat};
  convolutions_backward(batch.images, batch.n, target);
  convolutions_finish(batch.n, target);
  packing_.unpack(kConv1Weight, packed_conv1_.data(), flat + parameters_[kConv1Weight].offset);
  on_final(0, parameters_[kFc0Weight].offset);
}

float Network::forward(const Batch& batch, std::int64_t divisor) {
  prepare(batch.n);
  convolutions_forward(batch.images, batch.n);
  dense_forward(batch.n);
  return loss_forward_and_backward(batch.labels, batch.n, divisor);
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
    throw out_of_memory(n);
  }
}

void Network::convolutions_forward(const float* images, std::int64_t n) {
  const std::int64_t block = images_per_task(n, kMaxBlock);
  team_.run(divide_up(n, block), [&](std::int64_t task, int thread) {
    convolve_block(images, task * block, std::min(block, n - task * block), scratch(thread));
  });
}

void Network::dense_forward(std::int64_t n) {
  const std::int64_t groups = divide_up(n, kFc0Group);
  team_.run(groups, [&](std::int64_t group, int) {
    const std::int64_t first = group * kFc0Group;
    const auto images = static_cast<int>(std::min<std::int64_t>(kFc0Group, n - first));
    kernels_.fc0_list_active(activations_.pooled.data() + first * kFlat, images, group, activations_.active());
  });
  // Each panel of fc0's weights is read once for every 64 images or so, which bounds the traffic of large batches.
  const std::int64_t blocks = divide_up(n, 64);
  team_.run(kPanels * blocks, [&](std::int64_t task, int) {
    const std::int64_t block = task / kPanels;
    const ImageRange images{.n = n,
                            .first = groups * block / blocks * kFc0Group,
                            .last = std::min(n, groups * (block + 1) / blocks * kFc0Group)};
    kernels_.fc0_forward(activations_.active(), layer(kFc0Weight, kFc0Bias), images, static_cast<int>(task % kPanels),
                         activations_.hidden.data());
  });
}

void Network::convolve_block(const float* images, std::int64_t first, std::int64_t count, float* scratch) {
  for (std::int64_t i = first; i < first + count; ++i) {
    const Pooled planes{activations_.planes.data() + i * kPlane, activations_.codes0.data() + i * kPool0Size};
    kernels_.conv0_forward(images + i * kImagePixels, layer(kConv0Weight, kConv0Bias), planes);
  }
  const Conv1Layer conv1{
      .transformed = conv1_forward_.data(), .weight = weight(kConv1Weight), .bias = weight(kConv1Bias)};
  const Pooled pooled{activations_.pooled.data() + first * kFlat, activations_.codes1.data() + first * kFlat};
  kernels_.conv1_forward(activations_.planes.data() + first * kPlane, static_cast<int>(count), conv1, scratch, pooled);
}

float Network::loss_forward_and_backward(const float* labels, std::int64_t n, std::int64_t divisor) {
  const std::int64_t block = images_per_task(n, 8);
  float* logits = activations_.logits.data();
  float* gradient = activations_.logit_gradient.data();
  double* losses = activations_.losses.data();
  team_.run(divide_up(n, block), [&](std::int64_t task, int) {
    const ImageRange images{.n = n, .first = task * block, .last = std::min((task + 1) * block, n)};
    kernels_.fc1_forward(activations_.hidden.data(), layer(kFc1Weight, kFc1Bias), images, num_classes_, logits);
    for (std::int64_t i = images.first; i < images.last; ++i) {
      losses[i] = softmax_cross_entropy(logits + i * num_classes_, labels + i * num_classes_, num_classes_,
                                        1.0 / static_cast<double>(divisor), gradient + i * num_classes_);
    }
    kernels_.fc1_data_gradient({gradient, num_classes_}, weight(kFc1Weight), activations_.hidden.data(), images,
                               activations_.hidden_gradient.data());
  });
  float mean = 0;
  team_.run(1, [&](std::int64_t, int) {
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += losses[i];
    mean = static_cast<float>(sum / static_cast<double>(n));
  });
  return mean;
}

void Network::dense_backward(std::int64_t n, const Target& target) {
  const LogitGradient logits{activations_.logit_gradient.data(), num_classes_};
  const Hidden hidden{activations_.hidden.data(), activations_.hidden_gradient.data()};
  const LayerSink fc1 = layer_sink(kFc1Weight, kFc1Bias, target);
  const Sink fc0_bias = sink(kFc0Bias, target);
  const Fc0Backward fc0 = fc0_of_batch(n, sink(kFc0Weight, target));
  team_.run(kFc0RowTasks + kPanels, [&](std::int64_t task, int thread) {
    if (task < kPanels) {
      kernels_.fc1_weight_gradient(logits, hidden, n, static_cast<int>(task), fc1, fc0_bias);
    } else {
      fc0_backward_rows(kernels_.fc0_backward, fc0, static_cast<int>(task - kPanels), thread);
    }
  });
}

Fc0Backward Network::fc0_of_batch(std::int64_t n, const Sink& sink) {
  return {.n = n,
          .pooled = activations_.pooled.data(),
          .weight = weight(kFc0Weight),
          .hidden_gradient = activations_.hidden_gradient.data(),
          .pooled_gradient = activations_.pooled_gradient.data(),
          .sink = sink};
}

void Network::fc0_backward_rows(Fc0BackwardRows* kernel, Fc0Backward layer, int row_task, int thread) {
  layer.scratch = scratch(thread);
  const int next_task = std::min(row_task + team_.threads(), kFc0RowTasks - 1);
  kernel(layer, row_task * kFc0Rows, next_task * kFc0Rows);
}

void Network::convolutions_backward(const float* images, std::int64_t n, const Target& target) {
  // Long tasks first: conv1's weight gradient over all images for some channels, then the data gradient of some images.
  // Each of the former reads the planes of all images once: with few threads, use few of them.
  const int channels = team_.threads() > 8 ? 4 : team_.threads() > 2 ? 8 : 16;
  const int weight_tasks = kConv1Channels / channels;
  const std::int64_t group = Activations::images_per_group(n);
  const std::int64_t block = group > 1 ? group : images_per_task(n, kMaxBlock);
  const PooledGradient pooled{activations_.pooled_gradient.data(), activations_.codes1.data()};
  // The data gradient reads the transformed weights, so the weights themselves can be updated beside it.
  const LayerSink conv1 = layer_sink(kConv1Weight, kConv1Bias, target);
  team_.run(weight_tasks + divide_up(n, block), [&](std::int64_t task, int thread) {
    if (task < weight_tasks) {
      const int first = static_cast<int>(task) * channels;
      kernels_.conv1_weight_gradient(activations_.planes.data(), pooled, n, {first, first + channels}, scratch(thread),
                                     conv1);
      return;
    }
    const std::int64_t first = (task - weight_tasks) * block;
    const std::int64_t last = std::min(first + block, n);
    for (std::int64_t i = first; i < last; i += kMaxBlock) {
      convolve_block_backward(images, i, std::min<std::int64_t>(kMaxBlock, last - i), group, scratch(thread));
    }
  });
}

void Network::convolve_block_backward(const float* images, std::int64_t first, std::int64_t count, std::int64_t group,
                                      float* scratch) {
  const PooledGradient pooled1{activations_.pooled_gradient.data() + first * kFlat,
                               activations_.codes1.data() + first * kFlat};
  float* gradient = scratch + kScratchFloats;  // of pool0's output, [count][196][32]
  kernels_.conv1_data_gradient(pooled1, static_cast<int>(count), conv1_backward_.data(), scratch, gradient);
  for (std::int64_t i = first; i < first + count; ++i) {
    const PooledGradient pooled0{gradient + (i - first) * kPool0Size, activations_.codes0.data() + i * kPool0Size};
    float* partial = activations_.conv0_partials.data() + i / group * kConv0Partial;
    if (i % group == 0) std::fill_n(partial, kConv0Partial, 0.0F);
    kernels_.conv0_weight_gradient(images + i * kImagePixels, pooled0, partial);
  }
}

void Network::convolutions_finish(std::int64_t n, const Target& target) {
  const int parts = target.gradient == nullptr ? kConv1Parts : 0;
  team_.run(1 + parts, [&](std::int64_t task, int) {
    if (task == 0) {
      kernels_.conv0_reduce(activations_.conv0_partials.data(), divide_up(n, Activations::images_per_group(n)),
                            layer_sink(kConv0Weight, kConv0Bias, target));
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

Layer Network::layer(ParameterIndex weight_index, ParameterIndex bias_index) const {
  return {weight(weight_index), weight(bias_index)};
}

LayerSink Network::layer_sink(ParameterIndex weight_index, ParameterIndex bias_index, const Target& target) {
  return {sink(weight_index, target), sink(bias_index, target)};
}

void Network::logits(const float* images, std::int64_t n, float* out) {
  prepare(n);
  convolutions_forward(images, n);
  dense_forward(n);
  const std::int64_t block = images_per_task(n, 8);
  team_.run(divide_up(n, block), [&](std::int64_t task, int) {
    const ImageRange range{.n = n, .first = task * block, .last = std::min((task + 1) * block, n)};
    kernels_.fc1_forward(activations_.hidden.data(), layer(kFc1Weight, kFc1Bias), range, num_classes_, out);
  });
}

bool Network::apply(const float* flat, float learning_rate) {
  ensure_packed_gradients();
  if (!all_finite(flat, static_cast<std::size_t>(total_size(parameters_)))) return false;
  const Sink fc0 = sink(kFc0Weight, {.learning_rate = learning_rate});
  update(flat, learning_rate, [&](int row_task, int) {
    kernels_.fc0_update(flat + parameters_[kFc0Weight].offset, row_task * kFc0Rows, fc0);
  });
  return true;
}

bool Network::apply(float* flat, const float* factors, std::int64_t n, float learning_rate) {
  ensure_packed_gradients();
  const double bound = read_factors(factors, n);
  if (!std::isfinite(bound)) return false;
  Fc0Backward fc0{.n = n,
                  .pooled = factors_.inputs(),
                  .weight = weight(kFc0Weight),
                  .hidden_gradient = factors_.gradients(),
                  .sink = {}};
  const auto before = static_cast<std::size_t>(parameters_[kFc0Weight].offset);
  const auto after = static_cast<std::size_t>(parameters_[kFc0Bias].offset);
  const auto end = static_cast<std::size_t>(total_size(parameters_));
  // Half of what a float holds is left for rounding.
  const bool no_overflow = bound < std::numeric_limits<float>::max() / 2;
  if (!no_overflow || !all_finite(flat, before) || !all_finite(flat + after, end - after)) {
    // What is not finite, if anything is, shows in the whole gradient, before anything changes.
    fc0.sink = sink(kFc0Weight, {.gradient = flat});
    team_.run(kFc0RowTasks, [&](std::int64_t task, int thread) {
      fc0_backward_rows(kernels_.fc0_weight_gradient, fc0, static_cast<int>(task), thread);
    });
    return apply(flat, learning_rate);
  }
  fc0.sink = sink(kFc0Weight, {.learning_rate = learning_rate});
  update(flat, learning_rate,
         [&](int row_task, int thread) { fc0_backward_rows(kernels_.fc0_weight_gradient, fc0, row_task, thread); });
  return true;
}

double Network::read_factors(const float* factors, std::int64_t n) {
  if (n > factors_.capacity()) {
    try {
      factors_ = FactorBatch();
      factors_ = FactorBatch(n);
    } catch (const std::bad_alloc&) {
      throw out_of_memory(n);
    }
  }
  team_.run(n, [&](std::int64_t image, int) {
    factors_.bounds()[image] = factors_.read(factors + image * Factors::kColumns, n, image);
  });
  double sum = 0;
  for (std::int64_t image = 0; image < n; ++image) sum += factors_.bounds()[image];
  return sum;
}

bool Network::all_finite(const float* values, std::size_t size) {
  constexpr std::size_t kChunk = 1 << 16;
  std::atomic<bool> finite = true;
  team_.run(divide_up(static_cast<std::int64_t>(size), kChunk), [&](std::int64_t task, int) {
    const std::size_t first = static_cast<std::size_t>(task) * kChunk;
    if (!kernels_.all_finite(values + first, std::min(kChunk, size - first))) finite = false;
  });
  return finite;
}

void Network::update(const float* flat, float learning_rate, const std::function<void(int, int)>& update_fc0_rows) {
  const Target target{.learning_rate = learning_rate};
  const auto gradient = [&](ParameterIndex index) { return flat + parameters_[index].offset; };
  // The tensors but fc0's weights, one a task, then those, some rows a task.
  constexpr ParameterIndex kOthers[] = {kFc1Weight, kConv1Weight, kConv0Weight, kConv0Bias,
                                        kConv1Bias, kFc0Bias,     kFc1Bias};
  constexpr int kOtherTasks = std::size(kOthers);
  static_assert(kOtherTasks + 1 == kParameterTensors, "every tensor is updated");
  team_.run(kOtherTasks + kFc0RowTasks, [&](std::int64_t task, int thread) {
    if (task >= kOtherTasks) {
      update_fc0_rows(static_cast<int>(task - kOtherTasks), thread);
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
}

void Network::write_parameters(const float* flat) {
  packing_.pack(flat, weights_.data());
  transform_conv1_weights();
}

}  // namespace mpsmnist::cpu
