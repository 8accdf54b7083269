#include "cpu/packing.h"

#include <algorithm>
#include <utility>

namespace mpsmnist::cpu {

Packing::Packing(std::vector<Parameter> parameters, int num_classes)
    : parameters_(std::move(parameters)), num_classes_(num_classes) {
  for (int i = 0; i < kParameterTensors; ++i) {
    offsets_[i] = total_;
    total_ += (static_cast<std::size_t>(parameters_[static_cast<std::size_t>(i)].size) + kLine - 1) / kLine * kLine;
  }
}

// Calls copy(flat index, packed index, count) for every run of floats that is contiguous in both.
template <typename Copy>
void Packing::for_each(Copy copy) const {
  const auto flat = [this](int index) {
    return static_cast<std::size_t>(parameters_[static_cast<std::size_t>(index)].offset);
  };
  for (const ParameterIndex same : {kConv0Weight, kConv0Bias, kConv1Bias, kFc0Bias, kFc1Bias}) {
    copy(flat(same), offset(same), size(same));
  }
  for (std::size_t tap = 0; tap < kTaps; ++tap) {
    for (std::size_t in = 0; in < kConv0Channels; ++in) {
      for (std::size_t out = 0; out < kConv1Channels; ++out) {
        copy(flat(kConv1Weight) + (tap * kConv0Channels + in) * kConv1Channels + out,
             offset(kConv1Weight) + out * kConv1Filter + (in / kHalf * kTaps + tap) * kHalf + in % kHalf, 1);
      }
    }
  }
  for (std::size_t row = 0; row < kFlat; ++row) {
    for (std::size_t panel = 0; panel < kPanels; ++panel) {
      copy(flat(kFc0Weight) + row * kHidden + panel * kPanel, offset(kFc0Weight) + (panel * kFlat + row) * kPanel,
           kPanel);
    }
  }
  const auto classes = static_cast<std::size_t>(num_classes_);
  for (std::size_t row = 0; row < kHidden; ++row) {
    for (std::size_t c = 0; c < classes; ++c) {
      copy(flat(kFc1Weight) + row * classes + c, offset(kFc1Weight) + c * kHidden + row, 1);
    }
  }
}

void Packing::pack(const float* flat, float* packed) const {
  for_each([=](std::size_t from, std::size_t to, std::size_t count) { std::copy_n(flat + from, count, packed + to); });
}

void Packing::unpack(const float* packed, float* flat) const {
  for_each([=](std::size_t to, std::size_t from, std::size_t count) { std::copy_n(packed + from, count, flat + to); });
}

}  // namespace mpsmnist::cpu
