// Every call of a kernel, in one place: a test names what it gives, and only this file knows the signatures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpu/kernels.h"
#include "thread_team.h"

namespace mpsmnist::test {

using cpu::ActiveInputs;
using cpu::Kernels;
using cpu::Sink;
using Team = ThreadTeam;

inline Sink store_to(float* gradient) { return {.gradient = gradient}; }

/// `velocity` is null when momentum is 0.
inline Sink descend(float* weight, float* velocity, float learning_rate, float momentum) {
  return {.gradient = nullptr,
          .weight = weight,
          .velocity = velocity,
          .learning_rate = learning_rate,
          .momentum = momentum};
}

inline void conv0_forward(const Kernels& kernels, const float* image, const float* weight, const float* bias,
                          float* planes, std::uint8_t* codes) {
  kernels.conv0_forward(image, {weight, bias}, {planes, codes});
}

inline void conv0_weight_gradient(const Kernels& kernels, const float* image, const float* pooled_gradient,
                                  const std::uint8_t* codes, float* partial) {
  kernels.conv0_weight_gradient(image, {pooled_gradient, codes}, partial);
}

inline void conv0_reduce(const Kernels& kernels, const float* partials, std::int64_t count, const Sink& weight,
                         const Sink& bias) {
  kernels.conv0_reduce(partials, count, {weight, bias});
}

inline void conv1_transform_weights(const Kernels& kernels, const float* weight, float* forward, float* backward) {
  for (int part = 0; part < cpu::kConv1Parts; ++part) kernels.conv1_transform_weights(weight, part, forward, backward);
}

inline void conv1_forward(const Kernels& kernels, const float* planes, int images, const float* transformed,
                          const float* weight, const float* bias, float* scratch, float* pooled, std::uint8_t* codes) {
  kernels.conv1_forward(planes, images, {transformed, weight, bias}, scratch, {pooled, codes});
}

inline void conv1_data_gradient(const Kernels& kernels, const float* pooled_gradient, const std::uint8_t* codes,
                                int images, const float* transformed, float* scratch, float* gradient) {
  kernels.conv1_data_gradient({pooled_gradient, codes}, images, transformed, scratch, gradient);
}

/// Of the output channels first..last-1.
inline void conv1_weight_gradient(const Kernels& kernels, const float* planes, const float* pooled_gradient,
                                  const std::uint8_t* codes, std::int64_t n, int first, int last, float* scratch,
                                  const Sink& weight, const Sink& bias) {
  kernels.conv1_weight_gradient(planes, {pooled_gradient, codes}, n, {first, last}, scratch, {weight, bias});
}

inline void fc0_list_active(const Kernels& kernels, const float* pooled, int images, std::int64_t group,
                            const ActiveInputs& active) {
  kernels.fc0_list_active(pooled, images, group, active);
}

/// Of the groups first..last-1.
inline void fc0_forward(const Kernels& kernels, const ActiveInputs& active, const float* weight, const float* bias,
                        std::int64_t n, int panel, std::int64_t first, std::int64_t last, float* hidden) {
  const cpu::ImageRange images{n, first * cpu::kFc0Group, std::min(last * cpu::kFc0Group, n)};
  kernels.fc0_forward(active, {weight, bias}, images, panel, hidden);
}

inline void fc0_backward(const Kernels& kernels, const float* pooled, const float* weight, const float* hidden_gradient,
                         std::int64_t n, int row, float* scratch, float* pooled_gradient, const Sink& sink) {
  kernels.fc0_backward({n, pooled, weight, hidden_gradient, pooled_gradient, scratch, sink}, row, row);
}

/// The half of fc0_backward that is not the weights'.
inline void fc0_data_gradient(const Kernels& kernels, const float* pooled, const float* weight,
                              const float* hidden_gradient, std::int64_t n, int row, float* scratch,
                              float* pooled_gradient) {
  kernels.fc0_data_gradient({n, pooled, weight, hidden_gradient, pooled_gradient, scratch, {}}, row, row);
}

/// The other half.
inline void fc0_weight_gradient(const Kernels& kernels, const float* pooled, const float* weight,
                                const float* hidden_gradient, std::int64_t n, int row, float* scratch,
                                const Sink& sink) {
  kernels.fc0_weight_gradient({n, pooled, weight, hidden_gradient, nullptr, scratch, sink}, row, row);
}

/// Of the rows row..row+kFc0Rows-1, from a gradient in the flat order.
inline void fc0_update(const Kernels& kernels, const float* gradient, int row, const Sink& sink) {
  kernels.fc0_update(gradient, row, sink);
}

/// Of the images first..last-1.
inline void fc1_forward(const Kernels& kernels, const float* hidden, const float* weight, const float* bias,
                        std::int64_t n, int num_classes, std::int64_t first, std::int64_t last, float* logits) {
  kernels.fc1_forward(hidden, {weight, bias}, {n, first, last}, num_classes, logits);
}

/// Of the images first..last-1.
inline void fc1_data_gradient(const Kernels& kernels, const float* logit_gradient, const float* weight,
                              const float* hidden, std::int64_t n, int num_classes, std::int64_t first,
                              std::int64_t last, float* hidden_gradient) {
  kernels.fc1_data_gradient({logit_gradient, num_classes}, weight, hidden, {n, first, last}, hidden_gradient);
}

inline void fc1_weight_gradient(const Kernels& kernels, const float* logit_gradient, const float* hidden,
                                const float* hidden_gradient, std::int64_t n, int num_classes, int panel,
                                const Sink& weight, const Sink& bias, const Sink& fc0_bias) {
  kernels.fc1_weight_gradient({logit_gradient, num_classes}, {hidden, hidden_gradient}, n, panel, {weight, bias},
                              fc0_bias);
}

inline void update(const Kernels& kernels, const float* gradient, std::size_t count, const Sink& sink) {
  kernels.update(gradient, count, sink);
}

inline bool all_finite(const Kernels& kernels, const float* values, std::size_t count) {
  return kernels.all_finite(values, count);
}

}  // namespace mpsmnist::test
