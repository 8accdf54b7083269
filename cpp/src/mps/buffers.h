// Floats that the host and the GPU share: slots for batches, and sets of parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine.h"
#include "mps/device.h"

namespace mpsmnist::mps {

using Shape = std::vector<std::int64_t>;

std::int64_t element_count(const Shape& shape);
MPSShape* to_mps_shape(const Shape& shape);

/// A float32 tensor in a shared MTLBuffer: host and GPU use the same memory, and nothing is copied between them.
struct FloatTensor {
  std::string name;  ///< for messages
  Shape shape;
  id<MTLBuffer> buffer;      ///< at least element_count(shape) floats
  MPSGraphTensorData* data;  ///< the buffer's beginning, as `shape`

  float* values() const { return static_cast<float*>([buffer contents]); }
};

/// Zeros. Throws DeviceError if Metal cannot allocate the memory.
FloatTensor make_tensor(const Device& device, std::string name, Shape shape);

/// The first n rows of `tensor`, in the same buffer, which must hold them.
FloatTensor first_rows(const FloatTensor& tensor, std::int64_t n);

/// The batch size at which n images are predicted: a power of two, so that few sizes are compiled. Never 1: macOS 26
/// drops a fused bias where the input is a vector (pytorch#188438).
std::int64_t padded_batch(std::int64_t n);

/// What one step needs besides the parameters. A slot is rewritten only when no work of its own is in flight.
struct Slot {
  std::int64_t n = 0;
  FloatTensor images;         ///< (n,28,28,1), with room for padded_batch(n)
  FloatTensor labels;         ///< (n,C)
  FloatTensor logits;         ///< (n,C), with room for padded_batch(n)
  FloatTensor learning_rate;  ///< (1,)
  FloatTensor loss;           ///< (1,)
};

/// A slot for the smallest padded_batch(); resized() makes room for more.
Slot make_slot(const Device& device, int num_classes);

/// The same slot for n examples. A buffer is kept where it is long enough, so that only the largest n allocates.
/// Throws DeviceError if Metal cannot allocate the memory; `slot` stays usable.
Slot resized(const Device& device, const Slot& slot, std::int64_t n);

/// One tensor for each parameter, in their order.
using ParameterTensors = std::vector<FloatTensor>;
ParameterTensors make_parameter_tensors(const Device& device, const std::vector<Parameter>& parameters);

/// Weights, and momentum buffers if there are any, that belong to the same moment of training.
struct ParameterSet {
  ParameterTensors weights;
  ParameterTensors momentum;  ///< empty when momentum is 0
};
ParameterSet make_parameter_set(const Device& device, const EngineOptions& options);

/// Copies between tensors and a flat (P,) vector.
void read_flat(const ParameterTensors& tensors, float* flat);
void write_flat(const ParameterTensors& tensors, const float* flat);

}  // namespace mpsmnist::mps
