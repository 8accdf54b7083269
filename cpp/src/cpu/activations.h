// What the phases of a step leave for each other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "buffer.h"
#include "cpu/kernels.h"

namespace mpsmnist::cpu {

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

}  // namespace mpsmnist::cpu
