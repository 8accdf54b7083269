#include "support/winograd_error.h"

#include <cmath>
#include <vector>

namespace mpsmnist::test {
namespace {

constexpr double kPoints[] = {1.0 / 4, 5.0 / 8, 9.0 / 8, 9.0 / 4};  // and their opposites, and infinity

// The coefficients, lowest first, of p(t) (t + root).
std::vector<double> times(const std::vector<double>& p, double root) {
  std::vector<double> product(p.size() + 1);
  for (std::size_t i = 0; i < p.size(); ++i) {
    product[i + 1] += p[i];
    product[i] += root * p[i];
  }
  return product;
}

// The product of (t^2 - a^2) over all points but `left_out`.
std::vector<double> product_of_pairs(double left_out) {
  std::vector<double> product = {1};
  for (const double a : kPoints) {
    if (a != left_out) product = times(times(product, a), -a);
  }
  return product;
}

double value_at(const std::vector<double>& p, double t) {
  double value = 0;
  for (auto coefficient = p.rbegin(); coefficient != p.rend(); ++coefficient) value = value * t + *coefficient;
  return value;
}

}  // namespace

WinogradMatrices::WinogradMatrices() : at(), g(), bt() {
  int f = 0;
  for (const double a : kPoints) {
    const std::vector<double> others = product_of_pairs(a);
    for (const double t : {a, -a}) {
      const std::vector<double> row = times(others, t);
      for (int i = 0; i < 5; ++i) {
        at[i][f] = std::pow(t, i);
        g[f][i] = std::pow(t, i) / (2 * t * value_at(others, t));
      }
      for (std::size_t j = 0; j < row.size(); ++j) bt[f][j] = row[j];
      ++f;
    }
  }
  const std::vector<double> all = product_of_pairs(0);
  at[4][f] = g[f][4] = 1;
  for (std::size_t j = 0; j < all.size(); ++j) bt[f][j] = all[j];
}

double winograd_amplification() {
  const WinogradMatrices m;
  double squares = 0;
  for (int f = 0; f < 9; ++f) {
    double at = 0, g = 0, bt = 0;
    for (int i = 0; i < 5; ++i) at += m.at[i][f] * m.at[i][f];
    for (int k = 0; k < 5; ++k) g += m.g[f][k] * m.g[f][k];
    for (int j = 0; j < 9; ++j) bt += m.bt[f][j] * m.bt[f][j];
    squares += at * g * bt;
  }
  return squares / 25;  // the ratio of the squares of one dimension: the root of that of two
}

}  // namespace mpsmnist::test
