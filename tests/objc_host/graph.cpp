// Building the graph: what each op takes, and the shape of what it gives.
#include "graph.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "fatal.h"

namespace objc_host {
namespace {

struct Extent {
  std::int64_t output;
  std::int64_t pad_before;
};

// TensorFlow's rules for one axis: SAME gives ceil(input / stride) and puts the odd row of padding after.
Extent window_extent(std::int64_t input, std::int64_t kernel, std::int64_t stride, bool same) {
  if (!same) return {input < kernel ? 0 : (input - kernel) / stride + 1, 0};
  const std::int64_t output = (input + stride - 1) / stride;
  const std::int64_t padding = std::max<std::int64_t>((output - 1) * stride + kernel - input, 0);
  return {output, padding / 2};
}

// Where Apple's hardware goes wrong, mostly without an error: the engine must not reach these.
constexpr std::int64_t kInnerLimit = 32'766;  // of a matrix product, on M1 and M2: pytorch#195163
// Of (m + 2 k) * n floats, where an (m, k) by (k, n) product has bands of NaNs on M1 and M2: JuliaGPU/Metal.jl#381.
constexpr std::int64_t kProductLimit = (std::int64_t{1} << 31) - 1;  // bytes
constexpr std::int64_t kConvolutionBatchLimit = 65'535;              // its gradients: pytorch#96225
constexpr std::int64_t kArrayLimit = (std::int64_t{1} << 32) - 1;    // bytes; beyond, it aborts: pytorch#143859

Shape broadcast(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (std::size_t back = 1; back <= result.size(); ++back) {
    const std::int64_t x = back <= a.size() ? a[a.size() - back] : 1;
    const std::int64_t y = back <= b.size() ? b[b.size() - back] : 1;
    if (x != y && x != 1 && y != 1) return {-1};
    result[result.size() - back] = std::max(x, y);
  }
  return result;
}

}  // namespace

std::int64_t size_of(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + ")";
}

std::string Graph::describe(int node) const { return "'" + (*this)[node].name + "' " + to_string((*this)[node].shape); }

int Graph::add(Node node) {
  const std::int64_t bytes = size_of(node.shape) * static_cast<std::int64_t>(sizeof(float));
  if (bytes > kArrayLimit) {
    fail("'" + node.name + "' " + to_string(node.shape) + ": an array of " + std::to_string(bytes) + " bytes");
  }
  if (node.op != Op::kReshape) {
    node.shape_known =
        std::all_of(node.inputs.begin(), node.inputs.end(), [&](int input) { return (*this)[input].shape_known; });
  }
  nodes_.push_back(std::move(node));
  return size() - 1;
}

int Graph::placeholder(const Shape& shape, const std::string& name) {
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t side) { return side < 1; })) {
    fail("placeholder '" + name + "': shape " + to_string(shape) + " is not static and positive");
  }
  return add({.op = Op::kPlaceholder, .inputs = {}, .shape = shape, .name = name});
}

int Graph::constant(double value, const Shape& shape) {
  return add(
      {.op = Op::kConstant, .inputs = {}, .shape = shape, .name = "constant", .value = static_cast<float>(value)});
}

int Graph::elementwise(Op op, int a, int b, const std::string& name) {
  const Shape shape = broadcast((*this)[a].shape, (*this)[b].shape);
  if (shape == Shape{-1}) fail("'" + name + "': " + describe(a) + " and " + describe(b) + " do not broadcast");
  return add({.op = op, .inputs = {a, b}, .shape = shape, .name = name});
}

int Graph::sum_to(int a, const Shape& shape, const std::string& name) {
  if (broadcast(shape, (*this)[a].shape) != (*this)[a].shape) {
    fail("'" + name + "': " + describe(a) + " cannot be summed to " + to_string(shape));
  }
  return add({.op = Op::kSumTo, .inputs = {a}, .shape = shape, .name = name});
}

int Graph::reshape(int a, const Shape& shape, const std::string& name) {
  const bool positive = std::all_of(shape.begin(), shape.end(), [](std::int64_t side) { return side > 0; });
  if (!positive || size_of(shape) != size_of((*this)[a].shape)) {
    fail("'" + name + "': " + describe(a) + " cannot be reshaped to " + to_string(shape));
  }
  return add({.op = Op::kReshape, .inputs = {a}, .shape = shape, .name = name});
}

int Graph::matmul(int a, int b, const std::string& name, bool transpose_a, bool transpose_b) {
  Shape x = (*this)[a].shape;
  Shape y = (*this)[b].shape;
  if (transpose_a) std::reverse(x.begin(), x.end());
  if (transpose_b) std::reverse(y.begin(), y.end());
  if (x.size() != 2 || y.size() != 2 || x[1] != y[0]) {
    fail("'" + name + "': matrices (m, k) and (k, n) expected, not " + describe(a) + " and " + describe(b));
  }
  if (x[1] > kInnerLimit) fail("'" + name + "': a product whose inner dimension is " + std::to_string(x[1]));
  const std::int64_t bytes = (x[0] + 2 * x[1]) * y[1] * static_cast<std::int64_t>(sizeof(float));
  if (bytes > kProductLimit) fail("'" + name + "': a product of " + std::to_string(bytes) + " bytes");
  return add({.op = Op::kMatmul,
              .inputs = {a, b},
              .shape = {x[0], y[1]},
              .name = name,
              .transpose_a = transpose_a,
              .transpose_b = transpose_b});
}

int Graph::relu(int a, const std::string& name) {
  return add({.op = Op::kRelu, .inputs = {a}, .shape = (*this)[a].shape, .name = name});
}

int Graph::convolution(int source, int weights, const Window& window, const std::string& name) {
  const Shape& x = (*this)[source].shape;
  const Shape& w = (*this)[weights].shape;
  if (x.size() != 4 || w.size() != 4 || x[3] != w[2]) {
    fail("'" + name + "': source (n, h, w, i) and weights (kh, kw, i, o) expected, not " + describe(source) + " and " +
         describe(weights));
  }
  if (x[0] > kConvolutionBatchLimit) fail("'" + name + "': a convolution of " + std::to_string(x[0]) + " images");
  const Extent y_extent = window_extent(x[1], w[0], window.stride_y, window.same);
  const Extent x_extent = window_extent(x[2], w[1], window.stride_x, window.same);
  if (y_extent.output < 1 || x_extent.output < 1) fail("'" + name + "': " + describe(source) + " is too small");
  Window placed = window;
  placed.kernel_y = w[0];
  placed.kernel_x = w[1];
  placed.pad_top = y_extent.pad_before;
  placed.pad_left = x_extent.pad_before;
  return add({.op = Op::kConvolution,
              .inputs = {source, weights},
              .shape = {x[0], y_extent.output, x_extent.output, w[3]},
              .name = name,
              .window = placed});
}

int Graph::max_pool(int source, const Window& window, const std::string& name) {
  const Shape& x = (*this)[source].shape;
  if (x.size() != 4) fail("'" + name + "': source (n, h, w, c) expected, not " + describe(source));
  const Extent y_extent = window_extent(x[1], window.kernel_y, window.stride_y, window.same);
  const Extent x_extent = window_extent(x[2], window.kernel_x, window.stride_x, window.same);
  if (y_extent.output < 1 || x_extent.output < 1) fail("'" + name + "': " + describe(source) + " is too small");
  Window placed = window;
  placed.pad_top = y_extent.pad_before;
  placed.pad_left = x_extent.pad_before;
  return add({.op = Op::kMaxPool,
              .inputs = {source},
              .shape = {x[0], y_extent.output, x_extent.output, x[3]},
              .name = name,
              .window = placed});
}

int Graph::softmax_cross_entropy(int logits, int labels, const std::string& name) {
  const Shape& x = (*this)[logits].shape;
  if (x.size() != 2 || x != (*this)[labels].shape) {
    fail("'" + name + "': logits and labels (n, c) expected, not " + describe(logits) + " and " + describe(labels));
  }
  const Shape scalar(static_cast<std::size_t>(mode().loss_rank()), 1);
  return add({.op = Op::kSoftmaxCrossEntropy, .inputs = {logits, labels}, .shape = scalar, .name = name});
}

int Graph::in_returned_shape(int gradient) {
  const Node node = (*this)[gradient];
  switch (mode().gradient_shapes()) {
    case GradientShapes::kStated:
      return gradient;
    case GradientShapes::kKeptRank: {
      if (node.op != Op::kSumTo) return gradient;
      Shape kept((*this)[node.inputs[0]].shape.size(), 1);
      std::copy_backward(node.shape.begin(), node.shape.end(), kept.end());
      return reshape(gradient, kept, node.name);
    }
    case GradientShapes::kUnknown: {
      const int result = reshape(gradient, node.shape, node.name);
      nodes_.back().shape_known = false;
      return result;
    }
  }
}

void Graph::check_target(int node) const {
  if (!(*this)[node].shape_known) fail("compile: the shape of target " + describe(node) + " is not known");
}

int Graph::gradient_op(Op op, const std::vector<int>& inputs, int of, int forward) {
  return add({.op = op,
              .inputs = inputs,
              .shape = (*this)[of].shape,
              .name = (*this)[forward].name + "/gradient",
              .window = (*this)[forward].window});
}

}  // namespace objc_host
