// The engine's own arrangement of the parameters (the layouts of kernels.h), and copies to and from the flat order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/kernels.h"

namespace mpsmnist::cpu {

/// Where each tensor starts in a packed buffer. Every start is a multiple of a cache line.
class Packing {
 public:
  /// `parameters` is the flat order, for `num_classes` classes.
  Packing(std::vector<Parameter> parameters, int num_classes);

  std::size_t offset(ParameterIndex index) const { return offsets_[index]; }
  std::size_t size(ParameterIndex index) const { return static_cast<std::size_t>(parameters_[index].size); }
  /// Floats in a packed buffer, gaps included.
  std::size_t total() const { return total_; }

  /// Whether a tensor is arranged as in the flat order.
  static bool is_flat(ParameterIndex index) {
    return index != kConv1Weight && index != kFc0Weight && index != kFc1Weight;
  }

  /// One tensor, from its flat arrangement to the engine's, and back.
  void pack(ParameterIndex index, const float* flat, float* packed) const;
  void unpack(ParameterIndex index, const float* packed, float* flat) const;
  /// All of them: flat (P,) and packed (total(),).
  void pack(const float* flat, float* packed) const;
  void unpack(const float* packed, float* flat) const;

 private:
  template <typename Copy>
  void for_each_run(ParameterIndex index, Copy copy) const;
  std::size_t flat_offset(ParameterIndex index) const { return static_cast<std::size_t>(parameters_[index].offset); }

  std::vector<Parameter> parameters_;
  int num_classes_;
  std::size_t offsets_[kParameterTensors];
  std::size_t total_ = 0;
};

}  // namespace mpsmnist::cpu
