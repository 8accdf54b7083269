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

// Calls copy(index into the flat tensor, index into the packed tensor, count) for every run of floats that is
// contiguous in both.
template <typename Copy>
void Packing::for_each_run(ParameterIndex index, Copy copy) const {
  if (index == kConv1Weight) {  // (25,32,64) <-> [64][2][25][16]
    for (std::size_t tap = 0; tap < kTaps; ++tap) {
      for (std::size_t in = 0; in < kConv0Channels; ++in) {
        for (std::size_t out = 0; out < kConv1Channels; ++out) {
          copy((tap * kConv0Channels + in) * kConv1Channels + out,
               out * kConv1Filter + (in / kHalf * kTaps + tap) * kHalf + in % kHalf, 1);
        }
      }
    }
  } else if (index == kFc0Weight) {  // (3136,1024) <-> [16][3136][64]
    for (std::size_t row = 0; row < kFlat; ++row) {
      for (std::size_t panel = 0; panel < kPanels; ++panel) {
        copy(row * kHidden + panel * kPanel, (panel * kFlat + row) * kPanel, kPanel);
      }
    }
  } else if (index == kFc1Weight) {  // (1024,C) <-> [C][1024]
    const auto classes = static_cast<std::size_t>(num_classes_);
    for (std::size_t row = 0; row < kHidden; ++row) {
      for (std::size_t c = 0; c < classes; ++c) copy(row * classes + c, c * kHidden + row, 1);
    }
  } else {
    copy(0, 0, size(index));
  }
}

void Packing::pack(ParameterIndex index, const float* flat, float* packed) const {
  for_each_run(index, [=](std::size_t from, std::size_t to, std::size_t count) {
    std::copy_n(flat + from, count, packed + to);
  });
}

void Packing::unpack(ParameterIndex index, const float* packed, float* flat) const {
  for_each_run(index, [=](std::size_t to, std::size_t from, std::size_t count) {
    std::copy_n(packed + from, count, flat + to);
  });
}

void Packing::pack(const float* flat, float* packed) const {
  for (int i = 0; i < kParameterTensors; ++i) {
    const auto index = static_cast<ParameterIndex>(i);
    pack(index, flat + flat_offset(index), packed + offset(index));
  }
}

void Packing::unpack(const float* packed, float* flat) const {
  for (int i = 0; i < kParameterTensors; ++i) {
    const auto index = static_cast<ParameterIndex>(i);
    unpack(index, packed + offset(index), flat + flat_offset(index));
  }
}

}  // namespace mpsmnist::cpu
