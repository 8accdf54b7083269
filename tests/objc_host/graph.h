// The graph behind MPSGraph: nodes with static shapes, in the order in which they were added, inputs first. float32
// only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control.h"

namespace objc_host {

using Shape = std::vector<std::int64_t>;

std::int64_t size_of(const Shape& shape);
std::string to_string(const Shape& shape);

enum class Op {
  kPlaceholder,
  kConstant,  // one value everywhere
  kAdd,       // a + b; this and the next three broadcast as NumPy does
  kSubtract,  // a - b
  kMultiply,  // a * b
  kDivide,    // a / b
  kSumTo,     // a summed over the axes along which `shape` is broadcast to a's shape
  kReshape,   // a; it states the shape
  kMatmul,    // a (m, k) . b (k, n), either of them transposed first if the node says so
  kRelu,
  kReluGradient,                 // incoming, source
  kConvolution,                  // source NHWC, weights HWIO
  kConvolutionDataGradient,      // incoming, weights
  kConvolutionWeightsGradient,   // incoming, source
  kMaxPool,                      // source NHWC
  kMaxPoolGradient,              // incoming, source
  kSoftmaxCrossEntropy,          // logits (n, c), labels (n, c); summed over n
  kSoftmaxCrossEntropyGradient,  // incoming scalar, logits, labels
};

/// A convolution's or pooling's window over height and width.
struct Window {
  std::int64_t kernel_y = 0, kernel_x = 0;  // of a pooling; a convolution's come from its weights
  std::int64_t stride_y = 1, stride_x = 1;
  bool same = false;                       // TensorFlow's SAME, or else VALID
  std::int64_t pad_top = 0, pad_left = 0;  // derived
};

struct Node {
  Op op;
  std::vector<int> inputs;
  Shape shape;
  std::string name;
  float value = 0;           // of a constant
  bool transpose_a = false;  // of a matmul
  bool transpose_b = false;
  Window window = {};
  bool shape_known = true;  // whether MPSGraph says what it is
};

/// Every adder checks its inputs' shapes, infers the result's, and returns the new node's number.
class Graph {
 public:
  int placeholder(const Shape& shape, const std::string& name);
  int constant(double value, const Shape& shape = {});
  int elementwise(Op op, int a, int b, const std::string& name);
  int sum_to(int a, const Shape& shape, const std::string& name);
  int reshape(int a, const Shape& shape, const std::string& name);
  int matmul(int a, int b, const std::string& name, bool transpose_a = false, bool transpose_b = false);
  int relu(int a, const std::string& name);
  int convolution(int source, int weights, const Window& window, const std::string& name);
  int max_pool(int source, const Window& window, const std::string& name);
  int softmax_cross_entropy(int logits, int labels, const std::string& name);

  /// A gradient op of `forward`: the shape of its result is that of the node it is the gradient of.
  int gradient_op(Op op, const std::vector<int>& inputs, int of, int forward);

  /// d(sum of primary) / d(tensor) for each of tensors, as new nodes.
  std::vector<int> gradients(int primary, const std::vector<int>& tensors);

  const Node& operator[](int node) const { return nodes_[static_cast<std::size_t>(node)]; }
  int size() const { return static_cast<int>(nodes_.size()); }
  /// "'name' (2, 3)", for messages.
  std::string describe(int node) const;

  /// For a target: fails unless its shape is known.
  void check_target(int node) const;

 private:
  int add(Node node);
  /// The gradient as gradientForPrimaryTensor: returns it in this mode.
  int in_returned_shape(int gradient);

  std::vector<Node> nodes_;
  Counted counted_;
};

}  // namespace objc_host
