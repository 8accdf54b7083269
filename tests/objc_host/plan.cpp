#include "plan.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "fatal.h"
#include "faults.h"
#include "kernels.h"

namespace objc_host {
namespace {

std::size_t at(int node) { return static_cast<std::size_t>(node); }

// A convolution's three tensors, whichever of its ops the node is.
ConvolutionSides convolution_sides(const Graph& graph, int node) {
  const Shape& a = graph[graph[node].inputs[0]].shape;
  const Shape& b = graph[graph[node].inputs[1]].shape;
  const Shape& own = graph[node].shape;
  switch (graph[node].op) {
    case Op::kConvolution:
      return {.source = a, .weights = b, .result = own};
    case Op::kConvolutionDataGradient:
      return {.source = own, .weights = b, .result = a};
    default:
      return {.source = b, .weights = own, .result = a};
  }
}

Matrix matrix(const Shape& shape, bool transposed, const float* data) {
  return transposed ? Matrix{data, 1, shape[1]} : Matrix{data, shape[1], 1};
}

}  // namespace

Plan::Plan(const Graph& graph, std::vector<int> feeds, std::vector<int> targets)
    : graph_(graph), feeds_(std::move(feeds)), targets_(std::move(targets)), last_use_(at(graph.size()), -1) {
  std::vector<bool> needed(at(graph_.size()));
  for (const int target : targets_) {
    needed[at(target)] = true;
    last_use_[at(target)] = graph_.size();
  }
  for (int node = graph_.size() - 1; node >= 0; --node) {
    if (!needed[at(node)]) continue;
    order_.push_back(node);
    for (const int input : graph_[node].inputs) {
      needed[at(input)] = true;
      last_use_[at(input)] = std::max(last_use_[at(input)], node);
    }
    if (graph_[node].op == Op::kPlaceholder && std::find(feeds_.begin(), feeds_.end(), node) == feeds_.end()) {
      fail("missing feed: placeholder " + graph_.describe(node));
    }
  }
  std::reverse(order_.begin(), order_.end());
}

std::int64_t Plan::operations() const {
  return std::count_if(order_.begin(), order_.end(), [this](int node) {
    const Op op = graph_[node].op;
    return op != Op::kPlaceholder && op != Op::kConstant && op != Op::kReshape;
  });
}

void Plan::run(const std::vector<const float*>& feeds, const std::vector<float*>& results) const {
  plant_in_run(feed_shapes(), targets_.size());
  for (std::size_t i = 0; i < feeds_.size(); ++i) {
    if (has_nan(feeds[i], size_of(graph_[feeds_[i]].shape))) count(OBJC_HOST_NAN_FEEDS);
  }
  if (!computes()) {
    for (std::size_t i = 0; i < targets_.size(); ++i) std::fill_n(results[i], size_of(graph_[targets_[i]].shape), 0.0F);
    return;
  }
  std::vector<const float*> values(at(graph_.size()), nullptr);
  std::vector<std::unique_ptr<float[]>> storage(at(graph_.size()));
  for (std::size_t i = 0; i < feeds_.size(); ++i) values[at(feeds_[i])] = feeds[i];
  for (const int node : order_) {
    if (values[at(node)] == nullptr) {
      const auto target = std::find(targets_.begin(), targets_.end(), node);
      float* out;
      if (target != targets_.end()) {
        out = results[static_cast<std::size_t>(target - targets_.begin())];
      } else {
        storage[at(node)] =
            std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(size_of(graph_[node].shape)));
        out = storage[at(node)].get();
      }
      evaluate(node, values, out);
      values[at(node)] = out;
    }
    for (const int input : graph_[node].inputs) {
      if (last_use_[at(input)] == node) storage[at(input)].reset();
    }
  }
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    const float* value = values[at(targets_[i])];  // only a target that is itself a feed is elsewhere
    if (value != results[i]) std::copy_n(value, size_of(graph_[targets_[i]].shape), results[i]);
  }
}

std::vector<Shape> Plan::feed_shapes() const {
  std::vector<Shape> shapes;
  for (const int feed : feeds_) shapes.push_back(graph_[feed].shape);
  return shapes;
}

void Plan::evaluate(int number, const std::vector<const float*>& values, float* out) const {
  const Node& node = graph_[number];
  const auto in = [&](std::size_t i) { return values[at(node.inputs[i])]; };
  const auto shape = [&](std::size_t i) -> const Shape& { return graph_[node.inputs[i]].shape; };
  const std::int64_t size = size_of(node.shape);
  switch (node.op) {
    case Op::kPlaceholder:
      fail("placeholder " + graph_.describe(number) + " has no value");
    case Op::kConstant:
      std::fill_n(out, size, node.value);
      return;
    case Op::kAdd:
    case Op::kSubtract:
    case Op::kMultiply:
    case Op::kDivide:
      return elementwise(node.op, shape(0), shape(1), node.shape, in(0), in(1), out);
    case Op::kSumTo:
      return sum_to(shape(0), node.shape, in(0), out);
    case Op::kReshape:
      std::copy_n(in(0), size, out);
      return;
    case Op::kMatmul:
      std::fill_n(out, size, 0.0F);
      return multiply_add(node.shape[0], node.shape[1], shape(0)[node.transpose_a ? 0 : 1],
                          matrix(shape(0), node.transpose_a, in(0)), matrix(shape(1), node.transpose_b, in(1)), out);
    case Op::kRelu:
      return relu(size, in(0), out);
    case Op::kReluGradient:
      return relu_gradient(size, in(0), in(1), out);
    case Op::kConvolution:
      return convolution(convolution_sides(graph_, number), node.window, in(0), in(1), out);
    case Op::kConvolutionDataGradient:
      return convolution_data_gradient(convolution_sides(graph_, number), node.window, in(0), in(1), out);
    case Op::kConvolutionWeightsGradient:
      convolution_weights_gradient(convolution_sides(graph_, number), node.window, in(0), in(1), out);
      return plant_in_gradient(node.op, shape(0)[0], shape(1), in(1), out);
    case Op::kMaxPool:
      return max_pool(shape(0), node.shape, node.window, in(0), out);
    case Op::kMaxPoolGradient:
      max_pool_gradient(shape(1), shape(0), node.window, mode().pool_ties(), in(0), in(1), out);
      return plant_in_gradient(node.op, shape(0)[0], shape(1), in(1), out);
    case Op::kSoftmaxCrossEntropy:
      return softmax_cross_entropy(shape(0)[0], shape(0)[1], in(0), in(1), out);
    case Op::kSoftmaxCrossEntropyGradient:
      return softmax_cross_entropy_gradient(shape(1)[0], shape(1)[1], *in(0), in(1), in(2), out);
  }
}

}  // namespace objc_host
