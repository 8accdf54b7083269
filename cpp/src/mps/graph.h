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

/// A graph whose feeds and targets are in the order in which the engine passes its tensors.
struct Graph {
  MPSGraph* mps;  ///< must outlive every executable compiled from it
  std::vector<Port> feeds;
  std::vector<Port> targets;
};

/// images, weights -> logits
Graph build_prediction_graph(const EngineOptions& options, std::int64_t n);

/// images, labels, weights -> loss, gradients
Graph build_gradients_graph(const EngineOptions& options, std::int64_t n);

/// images, labels, learning_rate, weights, momentum -> loss, new weights, new momentum
Graph build_training_graph(const EngineOptions& options, std::int64_t n);

}  // namespace mpsmnist::mps
