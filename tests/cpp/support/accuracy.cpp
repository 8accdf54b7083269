#include "support/accuracy.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

namespace mpsmnist::test {
namespace {

constexpr double kUnitRoundoff = 0x1p-24;

struct Row {
  double kernel = 0;
  double scalar = 0;
  double limit = 0;
};

std::map<std::pair<std::string, std::string>, Row>& table() {
  static std::map<std::pair<std::string, std::string>, Row> rows;
  return rows;
}

double norm(const std::vector<double>& values) {
  double squares = 0;
  for (const double x : values) squares += x * x;
  return std::sqrt(squares);
}

// A NaN wherever the result has one.
double norm_of_error(const std::vector<float>& result, const std::vector<double>& exact) {
  REQUIRE(result.size() == exact.size());
  std::vector<double> error(exact.size());
  for (std::size_t i = 0; i < exact.size(); ++i) error[i] = result[i] - exact[i];
  return norm(error);
}

}  // namespace

double expected_error(double roundings, double squares) { return kUnitRoundoff * std::sqrt(roundings / 3 * squares); }

double limit_of_one(double roundings, double squares) { return 6 * expected_error(roundings, squares); }

double limit_of_norm(double roundings, double squares, std::size_t count) {
  if (count == 0) return 0;
  return std::sqrt(1 + 6 * std::sqrt(2 / static_cast<double>(count))) * expected_error(roundings, squares);
}

void check_accuracy(const char* instruction_set, const Accuracy& accuracy) {
  INFO(accuracy.kernel);
  const double limit = limit_of_norm(accuracy.roundings, accuracy.squares, accuracy.exact.size());
  const double error = norm_of_error(accuracy.result, accuracy.exact);
  const double scalar_error = norm_of_error(accuracy.scalar, accuracy.exact);
  CHECK(error <= limit);
  CHECK(scalar_error <= limit);

  const double truth = norm(accuracy.exact);
  if (truth == 0) return;
  Row& row = table()[{accuracy.kernel, instruction_set}];
  if (error / limit < row.kernel / row.limit) return;
  row = {error / truth, scalar_error / truth, limit / truth};
}

void print_accuracy_table() {
  if (table().empty()) return;
  std::printf("%-24s %-9s %12s %12s %12s\n", "relative error of", "", "kernel", "scalar", "limit");
  for (const auto& [key, row] : table()) {
    std::printf("%-24s %-9s %12.1e %12.1e %12.1e\n", key.first.c_str(), key.second.c_str(), row.kernel, row.scalar,
                row.limit);
  }
}

}  // namespace mpsmnist::test
