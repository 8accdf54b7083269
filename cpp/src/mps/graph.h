// The network as MPSGraph operations, for one fixed batch size.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine.h"
#include "mps/buffers.h"

namespace mpsmnist::mps {

/// Where a FloatTensor of this shape enters or leaves a graph.
struct Port {
  std::string name;  ///< for messages
  MPSGraphTensor* tensor;
  Shape shape;
};

/// A graph whose feeds and targets stand in the order in which the engine passes its tensors.
struct Network {
  MPSGraph* graph;  ///< must outlive every executable compiled from it
  std::vector<Port> feeds;
  std::vector<Port> targets;
};

/// images, weights -> logits
Network build_prediction(const EngineOptions& options, std::int64_t n);

/// images, labels, weights -> loss, gradients
Network build_gradients(const EngineOptions& options, std::int64_t n);

/// images, labels, learning_rate, weights, momentum -> loss, new weights, new momentum
Network build_training(const EngineOptions& options, std::int64_t n);

}  // namespace mpsmnist::mps
