#include "mps/buffers.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "model.h"

namespace mpsmnist::mps {
namespace {

id<MTLBuffer> make_buffer(const Device& device, const std::string& name, std::int64_t floats) {
  const auto bytes = static_cast<NSUInteger>(floats) * sizeof(float);
  id<MTLBuffer> buffer = [device.metal newBufferWithLength:bytes options:MTLResourceStorageModeShared];
  if (buffer == nil) {
    throw DeviceError("[mps buffer] Metal could not allocate " + std::to_string(bytes) + " bytes for " + name);
  }
  return buffer;
}

MPSGraphTensorData* make_data(const std::string& name, id<MTLBuffer> buffer, const Shape& shape) {
  MPSGraphTensorData* data = [[MPSGraphTensorData alloc] initWithMTLBuffer:buffer
                                                                     shape:to_mps_shape(shape)
                                                                  dataType:MPSDataTypeFloat32];
  if (data == nil) {
    throw DeviceError("[mps buffer] MPSGraph refused the buffer of " + name);
  }
  return data;
}

/// `tensor` with n as its first dimension, in the same buffer if that has room for `room` rows.
FloatTensor with_batch(const Device& device, const FloatTensor& tensor, std::int64_t n, std::int64_t room) {
  FloatTensor result = tensor;
  result.shape[0] = room;
  const std::int64_t floats = element_count(result.shape);
  if ([tensor.buffer length] < static_cast<NSUInteger>(floats) * sizeof(float)) {
    result.buffer = make_buffer(device, tensor.name, floats);
  }
  return first_rows(result, n);
}

}  // namespace

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t dimension : shape) {
    count *= dimension;
  }
  return count;
}

MPSShape* to_mps_shape(const Shape& shape) {
  NSMutableArray<NSNumber*>* result = [NSMutableArray arrayWithCapacity:shape.size()];
  for (const std::int64_t dimension : shape) {
    [result addObject:[NSNumber numberWithLongLong:dimension]];
  }
  return result;
}

FloatTensor make_tensor(const Device& device, std::string name, Shape shape) {
  FloatTensor tensor;
  tensor.buffer = make_buffer(device, name, element_count(shape));
  tensor.data = make_data(name, tensor.buffer, shape);
  tensor.name = std::move(name);
  tensor.shape = std::move(shape);
  std::fill_n(tensor.values(), element_count(tensor.shape), 0.0F);
  return tensor;
}

FloatTensor first_rows(const FloatTensor& tensor, std::int64_t n) {
  FloatTensor result = tensor;
  result.shape[0] = n;
  result.data = make_data(result.name, result.buffer, result.shape);
  return result;
}

std::int64_t padded_batch(std::int64_t n) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(n, 2))));
}

Slot make_slot(const Device& device, int num_classes) {
  Slot slot;
  slot.n = padded_batch(1);
  slot.images = make_tensor(device, "images", {slot.n, kImageSide, kImageSide, 1});
  slot.labels = make_tensor(device, "labels", {slot.n, num_classes});
  slot.logits = make_tensor(device, "logits", {slot.n, num_classes});
  slot.learning_rate = make_tensor(device, "learning_rate", {1});
  slot.loss = make_tensor(device, "loss", {1});
  return slot;
}

Slot resized(const Device& device, const Slot& slot, std::int64_t n) {
  Slot result = slot;
  result.n = n;
  result.images = with_batch(device, slot.images, n, padded_batch(n));
  result.labels = with_batch(device, slot.labels, n, n);
  result.logits = with_batch(device, slot.logits, n, padded_batch(n));
  return result;
}

ParameterTensors make_parameter_tensors(const Device& device, const std::vector<Parameter>& parameters) {
  ParameterTensors tensors;
  for (const Parameter& parameter : parameters) {
    tensors.push_back(make_tensor(device, parameter.name, parameter.shape));
  }
  return tensors;
}

ParameterSet make_parameter_set(const Device& device, const EngineOptions& options) {
  ParameterSet set;
  set.weights = make_parameter_tensors(device, options.parameters);
  if (options.momentum > 0) {
    set.momentum = make_parameter_tensors(device, options.parameters);
  }
  return set;
}

void read_flat(const ParameterTensors& tensors, float* flat) {
  for (const FloatTensor& tensor : tensors) {
    flat = std::copy_n(tensor.values(), element_count(tensor.shape), flat);
  }
}

void write_flat(const ParameterTensors& tensors, const float* flat) {
  for (const FloatTensor& tensor : tensors) {
    const std::int64_t count = element_count(tensor.shape);
    std::copy_n(flat, count, tensor.values());
    flat += count;
  }
}

}  // namespace mpsmnist::mps
