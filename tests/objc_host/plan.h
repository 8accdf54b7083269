// A compiled graph: the nodes that the targets need, in order, ready to run on feeds.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "graph.h"

namespace objc_host {

class Plan {
 public:
  /// Fails if a placeholder that a target needs is not among the feeds.
  Plan(const Graph& graph, std::vector<int> feeds, std::vector<int> targets);

  /// How many operations it has, but for reshapes, which compute nothing.
  std::int64_t operations() const;

  /// Reads feeds and writes results, both in the order given to the constructor.
  void run(const std::vector<const float*>& feeds, const std::vector<float*>& results) const;

 private:
  std::vector<Shape> feed_shapes() const;
  void evaluate(int node, const std::vector<const float*>& values, float* result) const;

  Graph graph_;
  std::vector<int> feeds_;
  std::vector<int> targets_;
  std::vector<int> order_;
  std::vector<int> last_use_;  // by node: the node after which its value is no longer needed
};

}  // namespace objc_host
