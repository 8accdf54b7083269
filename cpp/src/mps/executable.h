// Graphs compiled for the GPU, one for each purpose and batch size, in a small cache.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "engine.h"
#include "mps/device.h"
#include "mps/graph.h"

namespace mpsmnist::mps {

enum class Purpose { kTrain, kPredict, kGradients };
inline constexpr std::size_t kPurposes = 3;

/// A compiled graph. MPSGraph takes its tensors by position, in an order of its own choice.
struct Program {
  std::int64_t n = 0;
  Graph graph;
  MPSGraphExecutable* executable;
  std::vector<std::size_t> feed_order;    ///< position in inputsArray -> index into graph.feeds
  std::vector<std::size_t> target_order;  ///< position in resultsArray -> index into graph.targets
};

/// Blocks until MPSGraph has compiled; throws DeviceError if it cannot.
std::shared_ptr<const Program> compile(const Device& device, const EngineOptions& options, Purpose purpose,
                                       std::int64_t n);

/// Keeps the programs of the batch sizes used last. One that is evicted lives on while a step holds it.
class ProgramCache {
 public:
  /// Batch sizes kept for each purpose: enough for padded_batch() of every n up to Trainer's chunk of 256.
  static constexpr std::size_t kCapacity = 8;

  std::shared_ptr<const Program> get(const Device& device, const EngineOptions& options, Purpose purpose,
                                     std::int64_t n);

 private:
  /// The most recently used first.
  std::array<std::list<std::shared_ptr<const Program>>, kPurposes> programs_;
};

}  // namespace mpsmnist::mps
