// The host's automatic differentiation against central differences, and its kernels against sums written out plainly.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "graph.h"
#include "host_control.h"
#include "plan.h"

namespace {

using objc_host::Graph;
using objc_host::Op;
using objc_host::Plan;
using objc_host::Shape;
using objc_host::Window;
using Values = std::vector<float>;

int failures = 0;

void expect(bool good, const std::string& what) {
  if (good) return;
  ++failures;
  std::printf("FAILED %s\n", what.c_str());
}

Values random_values(const Shape& shape, std::minstd_rand& generator, float low, float high) {
  Values values(static_cast<std::size_t>(objc_host::size_of(shape)));
  std::uniform_real_distribution<float> uniform(low, high);
  std::generate(values.begin(), values.end(), [&] { return uniform(generator); });
  return values;
}

Values spaced_values(const Shape& shape, std::minstd_rand& generator) {
  Values values(static_cast<std::size_t>(objc_host::size_of(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 16;
  std::shuffle(values.begin(), values.end(), generator);
  return values;
}

std::vector<Values> run(const Graph& graph, const std::vector<int>& feeds, const std::vector<int>& targets,
                        const std::vector<Values>& inputs) {
  std::vector<Values> results;
  for (const int target : targets) results.emplace_back(objc_host::size_of(graph[target].shape));
  std::vector<const float*> in;
  std::vector<float*> out;
  for (const Values& values : inputs) in.push_back(values.data());
  for (Values& values : results) out.push_back(values.data());
  Plan(graph, feeds, targets).run(in, out);
  return results;
}

struct Case {
  std::string name;
  std::vector<Shape> shapes;                                  // of the placeholders
  std::function<int(Graph&, const std::vector<int>&)> build;  // the op's node from the placeholders
  std::size_t differentiated = 0;                             // how many of the placeholders; 0: all
  float low = -1, high = 1;
  bool spaced = false;  // distinct values further apart than a difference moves them, instead of uniform ones
};

// The scalar sum of weights * op: with random weights, no error can hide by cancelling.
struct Problem {
  Graph graph;
  std::vector<int> feeds;
  std::vector<Values> inputs;
  std::vector<int> wanted;
  int primary = 0;

  explicit Problem(const Case& test) {
    std::minstd_rand generator(7);
    for (const Shape& shape : test.shapes) {
      feeds.push_back(graph.placeholder(shape, "p" + std::to_string(feeds.size())));
      inputs.push_back(test.spaced ? spaced_values(shape, generator)
                                   : random_values(shape, generator, test.low, test.high));
    }
    wanted.assign(feeds.begin(), feeds.begin() + static_cast<std::ptrdiff_t>(
                                                     test.differentiated == 0 ? feeds.size() : test.differentiated));
    const int op = test.build(graph, feeds);
    const Shape shape = graph[op].shape;
    feeds.push_back(graph.placeholder(shape, "weights"));
    inputs.push_back(random_values(shape, generator, 0.5F, 1.5F));
    primary = graph.sum_to(graph.elementwise(Op::kMultiply, op, feeds.back(), "weighted"), {}, "sum");
  }
};

// Central differences in float: errors of about h^2 + epsilon * |sum| / h.
constexpr float kStep = 1.0F / 128;
constexpr double kTolerance = 5e-3;

void check_gradients(const Case& test) {
  Problem problem(test);
  // The primary tensor of sum_to has no gradient of its own here: differentiate what is summed.
  const int weighted = problem.graph[problem.primary].inputs[0];
  const std::vector<int> gradients = problem.graph.gradients(weighted, problem.wanted);
  const std::vector<Values> analytic = run(problem.graph, problem.feeds, gradients, problem.inputs);
  const auto value_with = [&](std::size_t feed, std::size_t element, float value) {
    std::vector<Values> inputs = problem.inputs;
    inputs[feed][element] = value;
    return static_cast<double>(run(problem.graph, problem.feeds, {problem.primary}, inputs)[0][0]);
  };
  double worst = 0;
  for (std::size_t feed = 0; feed < problem.wanted.size(); ++feed) {
    for (std::size_t i = 0; i < problem.inputs[feed].size(); ++i) {
      const float x = problem.inputs[feed][i];
      const double slope = (value_with(feed, i, x + kStep) - value_with(feed, i, x - kStep)) / (2.0 * kStep);
      worst = std::max(worst, std::abs(slope - static_cast<double>(analytic[feed][i])));
    }
  }
  std::printf("%-24s largest difference %.1e\n", test.name.c_str(), worst);
  expect(worst < kTolerance, test.name);
}

Case elementwise_case(const std::string& name, Op op, Shape a, Shape b) {
  return {.name = name,
          .shapes = {std::move(a), std::move(b)},
          .build = [op](Graph& g, const std::vector<int>& p) { return g.elementwise(op, p[0], p[1], "op"); },
          .low = 0.5F,
          .high = 1.5F};
}

Window window(std::int64_t kernel_y, std::int64_t kernel_x, std::int64_t stride_y, std::int64_t stride_x, bool same) {
  return {.kernel_y = kernel_y, .kernel_x = kernel_x, .stride_y = stride_y, .stride_x = stride_x, .same = same};
}

Case convolution_case(const std::string& name, Shape source, Shape weights, Window placed) {
  return {.name = name,
          .shapes = {std::move(source), std::move(weights)},
          .build = [placed](Graph& g, const std::vector<int>& p) { return g.convolution(p[0], p[1], placed, "op"); }};
}

Case pooling_case(const std::string& name, Shape source, Window placed) {
  return {.name = name,
          .shapes = {std::move(source)},
          .build = [placed](Graph& g, const std::vector<int>& p) { return g.max_pool(p[0], placed, "op"); },
          .spaced = true};
}

std::vector<Case> gradient_cases() {
  return {
      elementwise_case("add", Op::kAdd, {2, 3}, {2, 3}),
      elementwise_case("add, broadcast", Op::kAdd, {2, 3, 4}, {4}),
      elementwise_case("subtract, broadcast", Op::kSubtract, {1, 3}, {2, 1}),
      elementwise_case("multiply, broadcast", Op::kMultiply, {2, 3}, {}),
      elementwise_case("divide", Op::kDivide, {2, 3}, {2, 3}),
      elementwise_case("divide, broadcast", Op::kDivide, {2, 3}, {1}),
      {.name = "used twice",
       .shapes = {{2, 3}},
       .build = [](Graph& g, const std::vector<int>& p) { return g.elementwise(Op::kMultiply, p[0], p[0], "op"); }},
      {.name = "reshape",
       .shapes = {{2, 3, 2}},
       .build = [](Graph& g, const std::vector<int>& p) { return g.reshape(p[0], {3, 4}, "op"); }},
      {.name = "matmul",
       .shapes = {{5, 7}, {7, 9}},
       .build = [](Graph& g, const std::vector<int>& p) { return g.matmul(p[0], p[1], "op"); }},
      {.name = "relu",
       .shapes = {{4, 5}, {4, 5}},
       .build = [](Graph& g,
                   const std::vector<int>& p) { return g.relu(g.elementwise(Op::kAdd, p[0], p[1], "sum"), "op"); },
       .low = 0.1F},
      convolution_case("convolution, same", {2, 5, 4, 3}, {5, 5, 3, 2}, window(0, 0, 1, 1, true)),
      convolution_case("convolution, valid", {1, 6, 5, 2}, {3, 2, 2, 3}, window(0, 0, 2, 1, false)),
      convolution_case("convolution, stride 2", {1, 5, 6, 2}, {4, 3, 2, 2}, window(0, 0, 2, 2, true)),
      pooling_case("max pool", {2, 4, 4, 3}, window(2, 2, 2, 2, false)),
      pooling_case("max pool, overlapping", {1, 5, 5, 2}, window(3, 3, 2, 2, true)),
      {.name = "softmax cross-entropy",
       .shapes = {{4, 6}, {4, 6}},
       .build = [](Graph& g, const std::vector<int>& p) { return g.softmax_cross_entropy(p[0], p[1], "op"); },
       .differentiated = 1,
       .low = 0},
  };
}

// source (1, 4, 5, 2), every output written out as a sum over the window
void check_convolution_values() {
  std::minstd_rand generator(3);
  const Shape source_shape = {1, 4, 5, 2}, weights_shape = {3, 3, 2, 3};
  Graph graph;
  const int source = graph.placeholder(source_shape, "source");
  const int weights = graph.placeholder(weights_shape, "weights");
  const int result = graph.convolution(source, weights, window(0, 0, 1, 1, true), "op");
  const Values x = random_values(source_shape, generator, -1, 1);
  const Values w = random_values(weights_shape, generator, -1, 1);
  const Values y = run(graph, {source, weights}, {result}, {x, w})[0];
  double worst = 0;
  for (int i = 0; i < 4 * 5 * 3; ++i) {
    const int row = i / 15, column = i / 3 % 5, output = i % 3;
    double sum = 0;
    for (int tap = 0; tap < 9; ++tap) {
      const int sy = row + tap / 3 - 1, sx = column + tap % 3 - 1;
      if (sy < 0 || sy >= 4 || sx < 0 || sx >= 5) continue;
      for (int c = 0; c < 2; ++c) {
        sum += static_cast<double>(x[static_cast<std::size_t>((sy * 5 + sx) * 2 + c)]) *
               static_cast<double>(w[static_cast<std::size_t>((tap * 2 + c) * 3 + output)]);
      }
    }
    worst = std::max(worst, std::abs(sum - static_cast<double>(y[static_cast<std::size_t>(i)])));
  }
  expect(worst < 1e-5, "convolution's values");
}

void check_matmul_values() {
  std::minstd_rand generator(5);
  constexpr int kM = 9, kN = 19, kK = 33;
  Graph graph;
  const int a = graph.placeholder({kM, kK}, "a");
  const int b = graph.placeholder({kK, kN}, "b");
  const Values x = random_values({kM, kK}, generator, -1, 1);
  const Values y = random_values({kK, kN}, generator, -1, 1);
  const Values z = run(graph, {a, b}, {graph.matmul(a, b, "op")}, {x, y})[0];
  double worst = 0;
  for (std::size_t i = 0; i < kM; ++i) {
    for (std::size_t j = 0; j < kN; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < kK; ++k)
        sum += static_cast<double>(x[i * kK + k]) * static_cast<double>(y[k * kN + j]);
      worst = std::max(worst, std::abs(sum - static_cast<double>(z[i * kN + j])));
    }
  }
  expect(worst < 1e-5, "matmul's values");
}

// Two rows of logits whose losses are known: log 2, and 1 + log(1 + 1/e).
void check_loss_value() {
  Graph graph;
  const int logits = graph.placeholder({2, 2}, "logits");
  const int labels = graph.placeholder({2, 2}, "labels");
  const int loss = graph.softmax_cross_entropy(logits, labels, "op");
  const Values value = run(graph, {logits, labels}, {loss}, {{1000, 1000, 0, 1}, {1, 0, 1, 0}})[0];
  expect(std::abs(static_cast<double>(value[0]) - (std::log(2.0) + 1 + std::log(1 + std::exp(-1.0)))) < 1e-6,
         "softmax cross-entropy's value");
}

void check_pool_ties(const std::string& rule, const Values& expected) {
  objc_host_set_mode(("ties=" + rule).c_str());
  Graph graph;
  const int source = graph.placeholder({1, 2, 2, 1}, "source");
  const int pooled = graph.max_pool(source, window(2, 2, 2, 2, false), "op");
  const std::vector<int> gradients = graph.gradients(pooled, {source});
  expect(run(graph, {source}, gradients, {{0, 3, 3, 0}})[0] == expected, "ties: " + rule);
}

}  // namespace

int main() {
  for (const Case& test : gradient_cases()) check_gradients(test);
  check_convolution_values();
  check_matmul_values();
  check_loss_value();
  check_pool_ties("first", {0, 1, 0, 0});
  check_pool_ties("last", {0, 0, 1, 0});
  check_pool_ties("shared", {0, 0.5F, 0.5F, 0});
  std::printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
