// The table of one instruction set.
#include "kernel_functions.h"
#include "update.h"

#define MPSMNIST_TEXT_OF(name) #name
#define MPSMNIST_TEXT(name) MPSMNIST_TEXT_OF(name)

namespace mpsmnist::cpu::MPSMNIST_ISA {

void update(const float* gradient, size_t count, const Sink& sink) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) emit(sink, i, load(gradient + i));
  for (; i < count; ++i) emit(sink, i, gradient[i]);
}

bool all_finite(const float* values, size_t count) {
  IntVec bad = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vec value = load(values + i);
    bad |= value - value != Vec{};  // NaN for both
  }
  bool all = !any(bad);
  for (; i < count; ++i) all &= values[i] - values[i] == 0;
  return all;
}

extern const Kernels kKernels;
const Kernels kKernels = {
    .isa = MPSMNIST_TEXT(MPSMNIST_ISA),
    .conv0_forward = conv0_forward,
    .conv0_weight_gradient = conv0_weight_gradient,
    .conv0_reduce = conv0_reduce,
    .conv1_transform_weights = conv1_transform_weights,
    .conv1_forward = conv1_forward,
    .conv1_data_gradient = conv1_data_gradient,
    .conv1_weight_gradient = conv1_weight_gradient,
    .fc0_list_active = fc0_list_active,
    .fc0_forward = fc0_forward,
    .fc0_backward = fc0_backward,
    .fc0_data_gradient = fc0_data_gradient,
    .fc0_weight_gradient = fc0_weight_gradient,
    .fc0_update = fc0_update,
    .fc1_forward = fc1_forward,
    .fc1_data_gradient = fc1_data_gradient,
    .fc1_weight_gradient = fc1_weight_gradient,
    .update = update,
    .all_finite = all_finite,
};

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
