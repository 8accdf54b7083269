// conv1 with its bias, ReLU and pool against scalar versions. Its close decisions are in conv1_decision_tests.cpp.
#include <doctest/doctest.h>

#include <cmath>

#include "cpu/reference.h"
#include "support/accuracy.h"
#include "support/conv1_memory.h"
#include "support/decisions.h"
#include "support/instruction_sets.h"
#include "support/random.h"
#include "support/winograd_error.h"

namespace mpsmnist::test {
namespace {

template <typename Real>
const reference::Convolution<Real> kReference{kPool0Side, kConv0Channels, kConv1Channels};

constexpr std::size_t kWeights = kTaps * kConv0Channels * kConv1Channels;

std::vector<Conv1Input> inputs() {
  Random random;
  const auto weight = random.floats(kWeights, -0.2F, 0.2F);
  const auto bias = random.floats(kConv1Channels, -0.5F, 0.5F);
  std::vector<Conv1Input> result = {
      {"one image", random.floats(kPool0Size, 0, 1), weight, bias},
      {"two images", random.floats(2 * kPool0Size, 0, 1, 0.5F), weight, bias},
      {"large", random.floats(kPool0Size, -1e12F, 1e12F), random.floats(kWeights, -1e12F, 1e12F), bias},
  };
  for (const int corner : {0, kPool0Side - 1, kPool0Cells - kPool0Side, kPool0Cells - 1}) {
    std::vector<float> image(kPool0Size);
    std::fill_n(image.begin() + corner * kConv0Channels, kConv0Channels, 1.0F);
    result.push_back({"one cell in a corner", image, weight, std::vector<float>(kConv1Channels)});
  }
  return result;
}

void check_forward(const Kernels& kernels, const Conv1Input& input) {
  const Conv1Memory memory = conv1_forward_of(kernels, input);
  CHECK(memory.intact());
  for (std::size_t image = 0; image < static_cast<std::size_t>(memory.images); ++image) {
    CAPTURE(image);
    const auto x = slice(input.images, image * kPool0Size, kPool0Size);
    const Unpooled exact = {kReference<double>.forward(exactly(x), exactly(input.weight), exactly(input.bias)),
                            kReference<double>.forward(squares(x), squares(input.weight), squares(input.bias)),
                            kPool0Side, kConv1Channels};
    // Close decisions are those of plain sums, others are farther apart than Winograd's error.
    check_decisions(exact, memory.codes.data() + image * kFlat, kConv1Filter + 1);
    const auto exact_pool = reference::relu_and_pool(exact.values, kPool0Side, kConv1Channels);
    const auto scalar_pool =
        reference::relu_and_pool(kReference<float>.forward(x, input.weight, input.bias), kPool0Side, kConv1Channels);
    check_accuracy(kernels.isa,
                   {.kernel = "conv1 forward",
                    .result = slice(memory.pooled.values(), image * kFlat, kFlat),
                    .scalar = scalar_pool.values,
                    .exact = exact_pool.values,
                    .roundings = winograd_roundings(kConv0Channels),
                    .squares = std::pow(winograd_amplification(), 2) * squares_of_winners(exact, exact_pool.codes)});
  }
}

// Gradients for every pool window, at random positions of it or, in dead cells, nowhere.
struct PooledGradient {
  std::vector<float> values;
  std::vector<std::uint8_t> codes;

  explicit PooledGradient(std::size_t images) : values(images * kFlat), codes(images * kFlat) {
    Random random(7);
    values = random.floats(values.size(), -1, 1);
    for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random.below(kDead + 1));
  }

  std::vector<float> unpooled(std::size_t image) const {
    return reference::unpool(slice(values, image * kFlat, kFlat), slice(codes, image * kFlat, kFlat), kPool0Side,
                             kConv1Channels);
  }

  /// As the kernels get it: dead cells may hold anything.
  Misaligned for_kernels() const {
    Misaligned result(values);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      if (codes[i] == kDead) result[i] = kNan;
    }
    return result;
  }
};

void check_data_gradient(const Kernels& kernels, const Conv1Input& input) {
  Conv1Memory memory(input);
  memory.transform_weights(kernels);
  const PooledGradient gradient(static_cast<std::size_t>(memory.images));
  Misaligned pooled_gradient = gradient.for_kernels();
  Misaligned input_gradient(input.images.size(), kNan);
  conv1_data_gradient(kernels, pooled_gradient.data(), gradient.codes.data(), memory.images, memory.backward.data(),
                      memory.scratch.data(), input_gradient.data());
  CHECK(memory.intact());
  CHECK(input_gradient.intact());
  for (std::size_t image = 0; image < static_cast<std::size_t>(memory.images); ++image) {
    CAPTURE(image);
    const auto unpooled = gradient.unpooled(image);
    const auto exact = kReference<double>.input_gradient(exactly(unpooled), exactly(input.weight));
    const auto terms = kReference<double>.input_gradient(squares(unpooled), squares(input.weight));
    check_accuracy(kernels.isa, {.kernel = "conv1 data gradient",
                                 .result = slice(input_gradient.values(), image * kPool0Size, kPool0Size),
                                 .scalar = kReference<float>.input_gradient(unpooled, input.weight),
                                 .exact = exact,
                                 .roundings = winograd_roundings(kConv1Channels),
                                 .squares = std::pow(winograd_amplification(), 2) * sum(terms)});
  }
}

void check_weight_gradient(const Kernels& kernels, const Conv1Input& input) {
  Conv1Memory memory(input);
  const auto images = static_cast<std::size_t>(memory.images);
  const PooledGradient gradient(images);
  Misaligned pooled_gradient = gradient.for_kernels();
  Misaligned weight_gradient(kWeights, kNan), bias_gradient(kConv1Channels, kNan);
  for (const auto& [first, last] : {std::pair{0, 3}, {3, 4}, {4, 20}, {20, 64}}) {
    conv1_weight_gradient(kernels, memory.planes.data(), pooled_gradient.data(), gradient.codes.data(), memory.images,
                          first, last, memory.scratch.data(), store_to(weight_gradient.data()),
                          store_to(bias_gradient.data()));
  }
  CHECK(memory.intact());
  CHECK(weight_gradient.intact());
  CHECK(bias_gradient.intact());

  std::vector<float> unpacked(kWeights), weight_sum(kWeights), bias_sum(kConv1Channels);
  std::vector<double> exact_weight(kWeights), exact_bias(kConv1Channels), weight_squares(kWeights);
  double bias_squares = 0;
  for (std::size_t image = 0; image < images; ++image) {
    const auto unpooled = gradient.unpooled(image);
    const auto x = slice(input.images, image * kPool0Size, kPool0Size);
    add(weight_sum, kReference<float>.weight_gradient(unpooled, x));
    add(exact_weight, kReference<double>.weight_gradient(exactly(unpooled), exactly(x)));
    add(weight_squares, kReference<double>.weight_gradient(squares(unpooled), squares(x)));
    bias_squares += sum(squares(unpooled));
    for (std::size_t i = 0; i < unpooled.size(); ++i) {
      bias_sum[i % kConv1Channels] += unpooled[i];
      exact_bias[i % kConv1Channels] += unpooled[i];
    }
  }
  for (std::size_t i = 0; i < kWeights; ++i) unpacked[i] = weight_gradient[conv1_index(i)];
  const auto roundings = static_cast<double>(images * kPool1Cells);
  check_accuracy(kernels.isa, {.kernel = "conv1 weight gradient",
                               .result = unpacked,
                               .scalar = weight_sum,
                               .exact = exact_weight,
                               .roundings = roundings,
                               .squares = sum(weight_squares)});
  check_accuracy(kernels.isa, {.kernel = "conv1 bias gradient",
                               .result = bias_gradient.values(),
                               .scalar = bias_sum,
                               .exact = exact_bias,
                               .roundings = roundings,
                               .squares = bias_squares});
}

template <typename Check>
void check_inputs(Check check) {
  for_each_instruction_set([&](const Kernels& kernels) {
    for (const Conv1Input& input : inputs()) {
      CAPTURE(input.name);
      check(kernels, input);
    }
  });
}

TEST_CASE("conv1 forward") { check_inputs(check_forward); }

TEST_CASE("conv1 data gradient") { check_inputs(check_data_gradient); }

TEST_CASE("conv1 weight gradient") { check_inputs(check_weight_gradient); }

TEST_CASE("conv1 forward: NaN and infinity come out again") {
  for_each_instruction_set([](const Kernels& kernels) {
    Random random;
    std::vector<float> image(kPool0Size);
    const auto weight = random.floats(kWeights, -0.2F, 0.2F);
    for (const float bad : {kNan, kInfinity}) {
      CAPTURE(bad);
      image[(7 * kPool0Side + 7) * kConv0Channels + 3] = bad;
      const auto pooled = conv1_forward_of(kernels, {"", image, weight, std::vector<float>(kConv1Channels)}).pooled;
      const auto values = pooled.values();
      CHECK(std::any_of(values.begin(), values.end(),
                        [bad](float x) { return std::isnan(bad) ? std::isnan(x) : !std::isfinite(x); }));
    }
  });
}

TEST_CASE("Winograd's error is derived from transforms that compute the convolution") {
  const WinogradMatrices m;
  for (int i = 0; i < 5; ++i) {
    for (int k = 0; k < 5; ++k) {
      for (int j = 0; j < 9; ++j) {
        double coefficient = 0;
        for (int f = 0; f < 9; ++f) coefficient += m.at[i][f] * m.g[f][k] * m.bt[f][j];
        CHECK(coefficient == doctest::Approx(i + k == j ? 1 : 0).epsilon(1e-12));
      }
    }
  }
}

}  // namespace
}  // namespace mpsmnist::test
