// conv0 with its bias, ReLU and pool against scalar versions.
#include <doctest/doctest.h>

#include <cmath>

#include "cpu/reference.h"
#include "support/accuracy.h"
#include "support/decisions.h"
#include "support/instruction_sets.h"
#include "support/kernel_calls.h"
#include "support/layouts.h"
#include "support/random.h"
#include "support/vectors.h"

namespace mpsmnist::test {
namespace {

template <typename Real>
const reference::Convolution<Real> kReference{kImageSide, 1, kConv0Channels};

constexpr std::size_t kWeights = kTaps * kConv0Channels;
constexpr double kRoundings = kTaps + 1;  // the taps and the bias

struct Input {
  const char* name;
  std::vector<float> image, weight, bias;
};

std::vector<Input> inputs() {
  Random random;
  const auto weight = random.floats(kWeights, -0.2F, 0.2F);
  const std::vector<float> bias(kConv0Channels, 0.1F);
  std::vector<Input> result = {
      {"noise", random.floats(kImagePixels, 0, 1), weight, bias},
      {"sparse", random.floats(kImagePixels, 0, 1, 0.8F), weight, random.floats(kConv0Channels, -1, 1)},
      {"large", random.floats(kImagePixels, -1e15F, 1e15F), random.floats(kWeights, -1e15F, 1e15F), bias},
      {"tiny", random.floats(kImagePixels, 0, 1e-18F), random.floats(kWeights, -1e-15F, 1e-15F),
       std::vector<float>(kConv0Channels)},
  };
  for (const int corner : {0, kImageSide - 1, kImagePixels - kImageSide, kImagePixels - 1}) {
    std::vector<float> image(kImagePixels);
    image[static_cast<std::size_t>(corner)] = 1;
    result.push_back({"one pixel in a corner", image, weight, bias});
  }
  return result;
}

void check_forward(const Kernels& kernels, const Input& input) {
  Misaligned image(input.image), weight(input.weight), bias(input.bias), planes(kPlane);
  std::vector<std::uint8_t> codes(kPool0Size);
  conv0_forward(kernels, image.data(), weight.data(), bias.data(), planes.data(), codes.data());
  CHECK(planes.intact());

  std::vector<float> pooled(kPool0Size);
  std::vector<float> border = planes.values();
  for_each_pool0([&](std::size_t i, std::size_t at) {
    pooled[i] = planes[at];
    border[at] = 0;
  });
  CHECK_MESSAGE(border == std::vector<float>(kPlane), "the border was written");

  const Unpooled exact = {kReference<double>.forward(exactly(input.image), exactly(input.weight), exactly(input.bias)),
                          kReference<double>.forward(squares(input.image), squares(input.weight), squares(input.bias)),
                          kImageSide, kConv0Channels};
  check_decisions(exact, codes.data(), kRoundings);
  const auto exact_pool = reference::relu_and_pool(exact.values, kImageSide, kConv0Channels);
  const auto scalar_pool = reference::relu_and_pool(kReference<float>.forward(input.image, input.weight, input.bias),
                                                    kImageSide, kConv0Channels);
  check_accuracy(kernels.isa, {.kernel = "conv0 forward",
                               .result = pooled,
                               .scalar = scalar_pool.values,
                               .exact = exact_pool.values,
                               .roundings = kRoundings,
                               .squares = squares_of_winners(exact, exact_pool.codes)});
}

// Three gradients: two add to the same partial sum, one has its own. Dead cells may hold anything.
void check_weight_gradient(const Kernels& kernels, const Input& input) {
  Random random;
  std::vector<float> given[3], weight_sum(kWeights), bias_sum(kConv0Channels);
  std::vector<double> exact_weight(kWeights), exact_bias(kConv0Channels), weight_squares(kWeights);
  double bias_squares = 0;
  Misaligned image(input.image), partials(2 * kConv0Partial);
  for (int i = 0; i < 3; ++i) {
    std::vector<float> gradient = random.floats(kPool0Size, -1, 1);
    std::vector<std::uint8_t> codes(kPool0Size);
    for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random.below(kDead + 1));
    const auto unpooled = reference::unpool(gradient, codes, kImageSide, kConv0Channels);
    add(weight_sum, kReference<float>.weight_gradient(unpooled, input.image));
    add(exact_weight, kReference<double>.weight_gradient(exactly(unpooled), exactly(input.image)));
    add(weight_squares, kReference<double>.weight_gradient(squares(unpooled), squares(input.image)));
    bias_squares += sum(squares(unpooled));
    for (std::size_t at = 0; at < unpooled.size(); ++at) {
      bias_sum[at % kConv0Channels] += unpooled[at];
      exact_bias[at % kConv0Channels] += unpooled[at];
    }
    for (std::size_t at = 0; at < kPool0Size; ++at) {
      if (codes[at] == kDead) gradient[at] = kNan;
    }
    Misaligned pooled_gradient(gradient);
    conv0_weight_gradient(kernels, image.data(), pooled_gradient.data(), codes.data(),
                          partials.data() + i / 2 * kConv0Partial);
  }
  Misaligned weight_gradient(kWeights, kNan), bias_gradient(kConv0Channels, kNan);
  conv0_reduce(kernels, partials.data(), 2, store_to(weight_gradient.data()), store_to(bias_gradient.data()));
  CHECK(partials.intact());
  CHECK(weight_gradient.intact());
  CHECK(bias_gradient.intact());
  check_accuracy(kernels.isa, {.kernel = "conv0 weight gradient",
                               .result = weight_gradient.values(),
                               .scalar = weight_sum,
                               .exact = exact_weight,
                               .roundings = 3 * kPool0Cells,
                               .squares = sum(weight_squares)});
  check_accuracy(kernels.isa, {.kernel = "conv0 bias gradient",
                               .result = bias_gradient.values(),
                               .scalar = bias_sum,
                               .exact = exact_bias,
                               .roundings = 3 * kPool0Cells,
                               .squares = bias_squares});
}

TEST_CASE("conv0 forward") {
  for_each_instruction_set([](const Kernels& kernels) {
    for (const Input& input : inputs()) {
      CAPTURE(input.name);
      check_forward(kernels, input);
    }
  });
}

TEST_CASE("conv0 weight gradient") {
  for_each_instruction_set([](const Kernels& kernels) {
    for (const Input& input : inputs()) {
      CAPTURE(input.name);
      check_weight_gradient(kernels, input);
    }
  });
}

TEST_CASE("conv0 forward: in a blank image the first position of each window wins, or none") {
  for_each_instruction_set([](const Kernels& kernels) {
    const auto weight = Random().floats(kWeights, -0.2F, 0.2F);
    const std::vector<float> blank(kImagePixels);
    for (const float value : {0.5F, 0.0F, -0.5F}) {
      CAPTURE(value);
      const std::vector<float> bias(kConv0Channels, value);
      Misaligned planes(kPlane);
      std::vector<std::uint8_t> codes(kPool0Size, 77);
      conv0_forward(kernels, blank.data(), weight.data(), bias.data(), planes.data(), codes.data());
      int wrong = 0;
      for_each_pool0([&](std::size_t i, std::size_t at) {
        wrong += codes[i] != (value > 0 ? 0 : kDead) || planes[at] != std::max(value, 0.0F);
      });
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("conv0 forward: NaN and infinity come out again") {
  for_each_instruction_set([](const Kernels& kernels) {
    const auto weight = Random().floats(kWeights, -0.2F, 0.2F);
    const std::vector<float> bias(kConv0Channels);
    for (const float bad : {kNan, kInfinity}) {
      CAPTURE(bad);
      std::vector<float> image(kImagePixels, 0.5F);
      image[300] = bad;
      Misaligned planes(kPlane);
      std::vector<std::uint8_t> codes(kPool0Size);
      conv0_forward(kernels, image.data(), weight.data(), bias.data(), planes.data(), codes.data());
      const auto values = planes.values();
      CHECK(std::any_of(values.begin(), values.end(), [](float x) { return !std::isfinite(x); }));
    }
  });
}

}  // namespace
}  // namespace mpsmnist::test
