// The network's weights and the order of a step: phases one after the other, each a set of independent tasks for the
// team of threads. The kernels do the arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "buffer.h"
#include "cpu/activations.h"
#include "cpu/factors.h"
#include "cpu/kernels.h"
#include "cpu/packing.h"
#include "engine.h"
#include "thread_team.h"

namespace mpsmnist::cpu {

/// Where a backward pass puts the gradients: into `gradient`, flat (P,), or straight into the weights.
struct Target {
  float* gradient = nullptr;
  float learning_rate = 0;
};

/// A batch as the network reads it.
struct Batch {
  const float* images = nullptr;  ///< (n, 28, 28, 1)
  const float* labels = nullptr;  ///< (n, C), rows of probabilities
  std::int64_t n = 0;
};

/// Told that size gradients from offset on, in their flat order, are final.
using OnFinal = std::function<void(std::int64_t offset, std::int64_t size)>;

/// For a batch that does not fit.
DeviceError out_of_memory(std::int64_t images);

class Network {
 public:
  /// Weights start as zeros. Throws std::bad_alloc, std::system_error, or DeviceError (see choose_kernels).
  explicit Network(const EngineOptions& options);

  /// One update; returns the loss before it. All that can fail (DeviceError, out of memory) happens before anything
  /// changes.
  float step(const Batch& batch, float learning_rate);
  /// Writes the gradients of the summed loss, divided by `divisor`, to flat (P,) and returns the mean loss. Calls
  /// on_final(offset, size) for the dense layers' part, then for the convolutions'.
  float gradients(const Batch& batch, std::int64_t divisor, float* flat, const OnFinal& on_final);
  /// The same, but in place of fc0.weight's gradient, whose part of `flat` is left alone, its factors are written to
  /// `factors`, (n, Factors::kColumns). Calls on_factors() when they are, before on_final.
  float factored_gradients(const Batch& batch, std::int64_t divisor, float* flat, float* factors,
                           const std::function<void()>& on_factors, const OnFinal& on_final);
  /// Logits (n, C) of n images.
  void logits(const float* images, std::int64_t n, float* out);
  /// v <- momentum*v + g; w <- w - learning_rate*v, for g = flat (P,). False, and nothing has changed, unless all of g
  /// is finite.
  bool apply(const float* flat, float learning_rate);
  /// The same with fc0.weight's gradient from factors (n, Factors::kColumns), which also have to be finite. Its part of
  /// `flat` may be written to. DeviceError if there is no memory for n images.
  bool apply(float* flat, const float* factors, std::int64_t n, float learning_rate);

  // The phases of a step, in their order. prepare() makes room for a batch of n images.
  void prepare(std::int64_t n);
  void convolutions_forward(const float* images, std::int64_t n);
  void dense_forward(std::int64_t n);
  /// fc1, the mean loss, which is returned, and the gradient back to the hidden layer of the summed loss / divisor.
  float loss_forward_and_backward(const float* labels, std::int64_t n, std::int64_t divisor);
  void dense_backward(std::int64_t n, const Target& target);
  void convolutions_backward(const float* images, std::int64_t n, const Target& target);
  /// conv0's sums over the images and, after an update, conv1's transforms.
  void convolutions_finish(std::int64_t n, const Target& target);

  void read_parameters(float* flat) const { packing_.unpack(weights_.data(), flat); }
  void write_parameters(const float* flat);
  void read_momentum(float* flat) const { packing_.unpack(velocity_.data(), flat); }
  void write_momentum(const float* flat) { packing_.pack(flat, velocity_.data()); }

  /// What the last pass left.
  const Activations& activations() const noexcept { return activations_; }
  int threads() const noexcept { return team_.threads(); }
  const char* instruction_set() const noexcept { return kernels_.isa; }

 private:
  /// Everything up to the loss, and its gradient back to the hidden layer.
  float forward(const Batch& batch, std::int64_t divisor);
  /// The gradients from tensor `first` on are final, but for fc1's packed ones: unpacks these, and tells of all.
  void finish_dense_gradients(ParameterIndex first, float* flat, const OnFinal& on_final);
  void convolution_gradients(const Batch& batch, float* flat, const OnFinal& on_final);
  /// One task of fc0's backward pass, with the whole pass or half of it as `kernel`.
  void fc0_backward_rows(Fc0BackwardRows* kernel, Fc0Backward layer, int row_task, int thread);
  /// What fc0's backward pass of the batch reads and writes.
  Fc0Backward fc0_of_batch(std::int64_t n, const Sink& sink);
  /// Copies factors (n, Factors::kColumns) to factors_; returns a bound on the magnitude of what their products add up
  /// to, which is finite if, and only if, all of them are.
  double read_factors(const float* factors, std::int64_t n);
  bool all_finite(const float* values, std::size_t size);
  /// Updates with finite gradients, fc0's weights by update_fc0_rows(row task, thread).
  void update(const float* flat, float learning_rate, const std::function<void(int, int)>& update_fc0_rows);
  void convolve_block(const float* images, std::int64_t first, std::int64_t count, float* scratch);
  void convolve_block_backward(const float* images, std::int64_t first, std::int64_t count, std::int64_t group,
                               float* scratch);
  Layer layer(ParameterIndex weight_index, ParameterIndex bias_index) const;
  LayerSink layer_sink(ParameterIndex weight_index, ParameterIndex bias_index, const Target& target);
  void transform_conv1(int part);
  void transform_conv1_weights();
  Sink sink(ParameterIndex index, const Target& target);
  void ensure_packed_gradients();
  const float* weight(ParameterIndex index) const { return weights_.data() + packing_.offset(index); }
  float* scratch(int thread) { return scratch_.data() + static_cast<std::size_t>(thread) * kThreadScratch; }
  std::int64_t images_per_task(std::int64_t n, std::int64_t most) const {
    return std::clamp<std::int64_t>(n / team_.threads(), 1, most);
  }

  // What the kernels need, then the gradient of pool0's output of one block of images.
  static constexpr std::size_t kThreadScratch = kScratchFloats + kMaxBlock * kPool0Size;

  const Kernels& kernels_;
  const int num_classes_;
  const float momentum_;
  const std::vector<Parameter> parameters_;
  const Packing packing_;
  ThreadTeam team_;
  Buffer<float> weights_;
  Buffer<float> velocity_;       // empty when momentum is 0
  Buffer<float> conv1_forward_;  // conv1's weights as Winograd wants them, forward and backward
  Buffer<float> conv1_backward_;
  // For gradients of the tensors whose kernels do not use the flat order; empty until gradients are first used.
  Buffer<float> packed_conv1_;
  Buffer<float> packed_fc1_;
  Buffer<float> scratch_;
  FactorBatch factors_;  // of all processes; empty until they are first used
  Activations activations_;
};

}  // namespace mpsmnist::cpu
