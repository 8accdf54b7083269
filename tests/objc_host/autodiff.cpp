// Reverse-mode differentiation: walks the graph backwards and adds the nodes of the gradients to it.
#include <optional>

#include "fatal.h"
#include "graph.h"

namespace objc_host {
namespace {

class Differentiation {
 public:
  Differentiation(Graph& graph, int primary, const std::vector<int>& tensors);
  int gradient_of(int node) const;

 private:
  void mark_dependents(const std::vector<int>& tensors);
  void propagate(int node);
  void accumulate(int node, int gradient);
  void accumulate_broadcast(int node, int gradient);
  void propagate_elementwise(int node, int gradient);
  void propagate_matmul(int node, int gradient);

  bool needed(int node) const { return needed_[static_cast<std::size_t>(node)]; }
  std::optional<int>& slot(int node) { return gradients_[static_cast<std::size_t>(node)]; }

  Graph& graph_;
  std::vector<bool> needed_;  // depends on one of the tensors
  std::vector<std::optional<int>> gradients_;
};

Differentiation::Differentiation(Graph& graph, int primary, const std::vector<int>& tensors)
    : graph_(graph), needed_(static_cast<std::size_t>(primary) + 1), gradients_(static_cast<std::size_t>(primary) + 1) {
  mark_dependents(tensors);
  slot(primary) = graph_.constant(1, Shape(graph_[primary].shape));
  for (int node = primary; node >= 0; --node) {
    if (needed(node) && slot(node)) propagate(node);
  }
}

void Differentiation::mark_dependents(const std::vector<int>& tensors) {
  for (const int tensor : tensors) {
    if (tensor < static_cast<int>(needed_.size())) needed_[static_cast<std::size_t>(tensor)] = true;
  }
  for (std::size_t node = 0; node < needed_.size(); ++node) {
    for (const int input : graph_[static_cast<int>(node)].inputs) {
      if (needed(input)) needed_[node] = true;
    }
  }
}

int Differentiation::gradient_of(int node) const {
  if (node >= static_cast<int>(gradients_.size()) || !gradients_[static_cast<std::size_t>(node)]) {
    fail("gradient with respect to " + graph_.describe(node) + ": the primary tensor does not depend on it");
  }
  return *gradients_[static_cast<std::size_t>(node)];
}

void Differentiation::accumulate(int node, int gradient) {
  if (!needed(node)) return;
  std::optional<int>& sum = slot(node);
  sum = sum ? graph_.elementwise(Op::kAdd, *sum, gradient, graph_[node].name + "/gradient") : gradient;
}

void Differentiation::accumulate_broadcast(int node, int gradient) {
  if (!needed(node)) return;
  const Shape shape = graph_[node].shape;
  if (graph_[gradient].shape != shape) gradient = graph_.sum_to(gradient, shape, graph_[node].name + "/gradient");
  accumulate(node, gradient);
}

// d(a/b)/db = -a/b^2
void Differentiation::propagate_elementwise(int node, int gradient) {
  const Op op = graph_[node].op;
  const int a = graph_[node].inputs[0];
  const int b = graph_[node].inputs[1];
  const std::string name = graph_[node].name + "/gradient";
  const auto times = [&](int x, int y) { return graph_.elementwise(Op::kMultiply, x, y, name); };
  const auto over = [&](int x, int y) { return graph_.elementwise(Op::kDivide, x, y, name); };
  const auto minus = [&](int x) { return graph_.elementwise(Op::kSubtract, graph_.constant(0), x, name); };
  if (needed(a)) {
    accumulate_broadcast(a, op == Op::kMultiply ? times(gradient, b)
                            : op == Op::kDivide ? over(gradient, b)
                                                : gradient);
  }
  if (!needed(b)) return;
  if (op == Op::kAdd) accumulate_broadcast(b, gradient);
  if (op == Op::kSubtract) accumulate_broadcast(b, minus(gradient));
  if (op == Op::kMultiply) accumulate_broadcast(b, times(gradient, a));
  if (op == Op::kDivide) accumulate_broadcast(b, minus(over(times(gradient, a), times(b, b))));
}

void Differentiation::propagate_matmul(int node, int gradient) {
  const int a = graph_[node].inputs[0];
  const int b = graph_[node].inputs[1];
  const std::string name = graph_[node].name + "/gradient";
  if (needed(a)) accumulate(a, graph_.matmul(gradient, b, name, false, true));
  if (needed(b)) accumulate(b, graph_.matmul(a, gradient, name, true, false));
}

void Differentiation::propagate(int node) {
  const int gradient = *slot(node);
  const Op op = graph_[node].op;
  const std::vector<int> in = graph_[node].inputs;
  switch (op) {
    case Op::kPlaceholder:
    case Op::kConstant:
      return;
    case Op::kAdd:
    case Op::kSubtract:
    case Op::kMultiply:
    case Op::kDivide:
      return propagate_elementwise(node, gradient);
    case Op::kReshape:
      return accumulate(in[0], graph_.gradient_op(Op::kReshape, {gradient}, in[0], node));
    case Op::kMatmul:
      return propagate_matmul(node, gradient);
    case Op::kRelu:
      return accumulate(in[0], graph_.gradient_op(Op::kReluGradient, {gradient, in[0]}, in[0], node));
    case Op::kConvolution:
      if (needed(in[0])) {
        accumulate(in[0], graph_.gradient_op(Op::kConvolutionDataGradient, {gradient, in[1]}, in[0], node));
      }
      if (needed(in[1])) {
        accumulate(in[1], graph_.gradient_op(Op::kConvolutionWeightsGradient, {gradient, in[0]}, in[1], node));
      }
      return;
    case Op::kMaxPool:
      return accumulate(in[0], graph_.gradient_op(Op::kMaxPoolGradient, {gradient, in[0]}, in[0], node));
    case Op::kSoftmaxCrossEntropy:
      if (needed(in[1])) fail("gradient with respect to labels: not implemented");
      return accumulate(in[0],
                        graph_.gradient_op(Op::kSoftmaxCrossEntropyGradient, {gradient, in[0], in[1]}, in[0], node));
    default:
      fail("gradient of " + graph_.describe(node) + ": not implemented");
  }
}

}  // namespace

std::vector<int> Graph::gradients(int primary, const std::vector<int>& tensors) {
  const Differentiation differentiation(*this, primary, tensors);
  std::vector<int> result;
  for (const int tensor : tensors) result.push_back(in_returned_shape(differentiation.gradient_of(tensor)));
  return result;
}

}  // namespace objc_host
