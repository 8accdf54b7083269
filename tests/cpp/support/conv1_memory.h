// What conv1's kernels are given, and what its forward pass makes of it.
#pragma once

#include <cstdint>
#include <vector>

#include "support/kernel_calls.h"
#include "support/layouts.h"
#include "support/vectors.h"

namespace mpsmnist::test {

struct Conv1Input {
  const char* name;
  std::vector<float> images;  // one or two (14,14,32)
  std::vector<float> weight, bias;
};

struct Conv1Memory {
  int images;
  Misaligned planes, weight, bias;
  Misaligned forward{kTransformedFloats, kNan}, backward{kTransformedFloats, kNan};
  Misaligned scratch{kScratchFloats, kNan}, pooled;
  std::vector<std::uint8_t> codes;

  explicit Conv1Memory(const Conv1Input& input)
      : images(static_cast<int>(input.images.size()) / kPool0Size),
        planes(static_cast<std::size_t>(images) * kPlane),
        weight(input.weight.size()),
        bias(input.bias),
        pooled(static_cast<std::size_t>(images * kFlat), kNan),
        codes(static_cast<std::size_t>(images * kFlat)) {
    for (int image = 0; image < images; ++image) {
      for_each_pool0([&](std::size_t i, std::size_t at) {
        planes[static_cast<std::size_t>(image * kPlane) + at] =
            input.images[static_cast<std::size_t>(image * kPool0Size) + i];
      });
    }
    for (std::size_t i = 0; i < input.weight.size(); ++i) weight[conv1_index(i)] = input.weight[i];
  }

  void transform_weights(const Kernels& kernels) {
    conv1_transform_weights(kernels, weight.data(), forward.data(), backward.data());
  }

  /// With transformed weights: pooled and codes.
  void run_forward(const Kernels& kernels) {
    conv1_forward(kernels, planes.data(), images, forward.data(), weight.data(), bias.data(), scratch.data(),
                  pooled.data(), codes.data());
  }

  bool intact() const {
    return planes.intact() && weight.intact() && bias.intact() && forward.intact() && backward.intact() &&
           scratch.intact() && pooled.intact();
  }
};

inline Conv1Memory conv1_forward_of(const Kernels& kernels, const Conv1Input& input) {
  Conv1Memory memory(input);
  memory.transform_weights(kernels);
  memory.run_forward(kernels);
  return memory;
}

}  // namespace mpsmnist::test
