// Softmax cross-entropy of one example, in double.
#include "cpu/softmax.h"

#include <doctest/doctest.h>

#include <cmath>

#include "support/vectors.h"

namespace mpsmnist::test {
namespace {

struct Result {
  double loss;
  std::vector<float> gradient;
};

Result softmax_of(const std::vector<float>& logits, const std::vector<float>& labels) {
  Result result{0, std::vector<float>(logits.size(), kNan)};
  result.loss = cpu::softmax_cross_entropy(logits.data(), labels.data(), static_cast<int>(logits.size()), 1.0,
                                           result.gradient.data());
  return result;
}

// A few operations in double on numbers of about 1.
doctest::Approx about(double value) { return doctest::Approx(value).epsilon(0x1p-48); }

TEST_CASE("softmax of one class") {
  const Result result = softmax_of({3}, {1});
  CHECK(result.loss == 0);
  CHECK(result.gradient[0] == 0);
}

TEST_CASE("softmax of equal logits") {
  const Result result = softmax_of({0, 0, 0, 0}, {0, 1, 0, 0});
  CHECK(result.loss == about(std::log(4.0)));
  CHECK(result.gradient == std::vector<float>{0.25F, -0.75F, 0.25F, 0.25F});
}

TEST_CASE("softmax with soft labels") {
  const Result result = softmax_of({1, 2}, {0.25F, 0.75F});
  CHECK(result.loss == about(std::log(std::exp(1.0) + std::exp(2.0)) - 1.75));
}

TEST_CASE("softmax of the largest logits") {
  CHECK(softmax_of({3e38F, -3e38F}, {1, 0}).loss == 0);
  CHECK(std::isfinite(softmax_of({3e38F, -3e38F}, {0.5F, 0.5F}).loss));
}

TEST_CASE("softmax: NaN and infinity reach the loss") {
  for (const std::vector<float>& logits : {std::vector<float>{kNan, 1}, {1, kNan}, {kInfinity, 0}}) {
    CAPTURE(logits[0]);
    CHECK_FALSE(std::isfinite(softmax_of(logits, {0, 1}).loss));
  }
}

}  // namespace
}  // namespace mpsmnist::test
