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

  // n is the batch's size, at most `capacity`; layout.h has the layouts.
  std::int64_t capacity = 0;
  Buffer<float> planes;                  // [n][2][19][19][16]: conv0's output after its pool
  Buffer<std::uint8_t> codes0;           // [n][196][32]: the winners of that pool
  Buffer<float> pooled;                  // [n][49][64]: conv1's output after its pool, fc0's input
  Buffer<std::uint8_t> codes1;           // [n][49][64]: the winners of that pool
  Buffer<std::uint8_t> active_channels;  // [groups][49][64]: see ActiveInputs
  Buffer<std::uint8_t> active_counts;    // [groups][49]
  Buffer<float> active_values;           // [groups][49][64][kFc0Group]
  Buffer<float> hidden;                  // [16][n][64]: fc0's output
  Buffer<float> logits;                  // [n][C]: fc1's output
  Buffer<float> logit_gradient;          // [n][C]
  Buffer<float> hidden_gradient;         // [16][n][64]: before the ReLU
  Buffer<float> pooled_gradient;         // [n][49][64]: anything where `pooled` is zero
  Buffer<float> conv0_partials;          // [groups of images][kConv0Partial]
  Buffer<double> losses;                 // [n]

 private:
  std::size_t groups() const { return static_cast<std::size_t>(divide_up(capacity, kFc0Group)); }
  std::size_t size(int per_image) const {
    return static_cast<std::size_t>(capacity) * static_cast<std::size_t>(per_image);
  }
};

}  // namespace mpsmnist::cpu
