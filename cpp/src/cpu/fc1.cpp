// fc1: logits (n,C) = hidden (n,1024) * W + b, for any number of classes. W is stored transposed, (C,1024), so that all
// three products run along the 1024.
#include "kernel_functions.h"
#include "update.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {

void fc1_forward(const float* hidden, const Layer& layer, const ImageRange& images, int num_classes, float* logits) {
  constexpr int kPanelVectors = kPanel / kLanes;
  constexpr int kSums = kPanelVectors < 4 ? kPanelVectors : 4;
  for (int c = 0; c < num_classes; ++c) {
    const float* row = layer.weight + static_cast<size_t>(c) * kHidden;
    for (int64_t image = images.first; image < images.last; ++image) {
      Vec sums[kSums] = {};
      for (int panel = 0; panel < kPanels; ++panel) {
        const float* inputs = hidden + (panel * images.n + image) * kPanel;
        for (int v = 0; v < kPanelVectors; ++v) {
          sums[v % kSums] += load(inputs + v * kLanes) * load(row + panel * kPanel + v * kLanes);
        }
      }
      Vec sum = sums[0];
      for (int s = 1; s < kSums; ++s) sum += sums[s];
      logits[image * num_classes + c] = layer.bias[c] + sum_lanes(sum);
    }
  }
}

void fc1_data_gradient(const LogitGradient& logits, const float* weight, const float* hidden, const ImageRange& images,
                       float* hidden_gradient) {
  constexpr int kVectors = 4;
  constexpr int kColumns = kVectors * kLanes;
  static_assert(kPanel % kColumns == 0);
  for (int column = 0; column < kHidden; column += kColumns) {
    for (int64_t image = images.first; image < images.last; ++image) {
      Vec sums[kVectors] = {};
      for (int c = 0; c < logits.num_classes; ++c) {
        const Vec gradient = splat(logits.values[image * logits.num_classes + c]);
        const float* row = weight + static_cast<size_t>(c) * kHidden + column;
        for (int v = 0; v < kVectors; ++v) sums[v] += gradient * load(row + v * kLanes);
      }
      const int64_t at = (column / kPanel * images.n + image) * kPanel + column % kPanel;
      for (int v = 0; v < kVectors; ++v) {
        const Vec output = load(hidden + at + v * kLanes);
        store(hidden_gradient + at + v * kLanes, output <= Vec{} ? Vec{} : sums[v]);
      }
    }
  }
}

void fc1_weight_gradient(const LogitGradient& logits, const Hidden& hidden, int64_t n, int panel, const LayerSink& sink,
                         const Sink& fc0_bias) {
  constexpr int kVectors = 4;
  constexpr int kColumns = kVectors * kLanes;
  for (int column = 0; column < kPanel; column += kColumns) {
    const float* inputs = hidden.values + panel * n * kPanel + column;
    for (int c = 0; c < logits.num_classes; ++c) {
      Vec sums[kVectors] = {};
      for (int64_t image = 0; image < n; ++image) {
        const Vec gradient = splat(logits.values[image * logits.num_classes + c]);
        for (int v = 0; v < kVectors; ++v) sums[v] += gradient * load(inputs + image * kPanel + v * kLanes);
      }
      const size_t at = static_cast<size_t>(c) * kHidden + static_cast<size_t>(panel * kPanel + column);
      for (int v = 0; v < kVectors; ++v) emit(sink.weight, at + static_cast<size_t>(v * kLanes), sums[v]);
    }
    const float* gradients = hidden.gradient + panel * n * kPanel + column;
    for (int v = 0; v < kVectors; ++v) {
      Vec sum = {};
      for (int64_t image = 0; image < n; ++image) sum += load(gradients + image * kPanel + v * kLanes);
      emit(fc0_bias, static_cast<size_t>(panel * kPanel + column + v * kLanes), sum);
    }
  }
  if (panel != 0) return;
  for (int c = 0; c < logits.num_classes; ++c) {
    float sum = 0;
    for (int64_t image = 0; image < n; ++image) sum += logits.values[image * logits.num_classes + c];
    emit(sink.bias, static_cast<size_t>(c), sum);
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
