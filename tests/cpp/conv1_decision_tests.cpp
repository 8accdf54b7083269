// Which outputs of conv1 win their pool window or pass ReLU, where Winograd's error is larger than what decides.
#include <doctest/doctest.h>

#include <algorithm>

#include "cpu/reference.h"
#include "support/conv1_memory.h"
#include "support/decisions.h"
#include "support/instruction_sets.h"
#include "support/random.h"

namespace mpsmnist::test {
namespace {

const reference::Convolution<double> kReference{kPool0Side, kConv0Channels, kConv1Channels};

constexpr std::size_t kWeights = kTaps * kConv0Channels * kConv1Channels;
constexpr double kRoundings = kConv1Filter + 1;

Unpooled unpooled(const std::vector<float>& image, const std::vector<float>& weight, const std::vector<float>& bias) {
  return {kReference.forward(exactly(image), exactly(weight), exactly(bias)),
          kReference.forward(squares(image), squares(weight), squares(bias)), kPool0Side, kConv1Channels};
}

// The same dim pixel everywhere, but bright noise in the first six rows: the windows from row 4 on see nothing of it,
// but the tiles from row 5 to 9 do, and it makes their errors larger than what decides.
constexpr int kBright = 6 * kPool0Side * kConv0Channels;
constexpr int kFirstDimCell = 4 * kPool1Side;

std::vector<float> dim_beside_bright(Random& random) {
  auto image = random.floats(kPool0Size, 0, 1);
  for (std::size_t i = kBright; i < image.size(); ++i) image[i] = 0.01F * image[i % kConv0Channels];
  return image;
}

TEST_CASE("conv1 decisions: sums that almost cancel their bias") {
  for_each_instruction_set([](const Kernels& kernels) {
    Random random;
    const auto image = dim_beside_bright(random);
    const auto weight = random.floats(kWeights, -0.2F, 0.2F);
    const auto outputs = unpooled(image, weight, std::vector<float>(kConv1Channels));
    // The biases leave twice what a plain sum may err, of either sign.
    std::vector<float> bias(kConv1Channels);
    for (int c = 0; c < kConv1Channels; ++c) {
      const std::size_t inner = outputs.index(kFirstDimCell + 1, 0, c);
      const double rest = 2 * limit_of_one(kRoundings, outputs.squares[inner]);
      bias[static_cast<std::size_t>(c)] = static_cast<float>((c % 2 == 0 ? rest : -rest) - outputs.values[inner]);
    }
    const auto codes = conv1_forward_of(kernels, {"", image, weight, bias}).codes;
    int wrong = 0;
    for (int cell = kFirstDimCell + 1; cell < kFirstDimCell + kPool1Side - 1; ++cell) {
      for (int c = 0; c < kConv1Channels; ++c) {
        wrong += codes[static_cast<std::size_t>(cell * kConv1Channels + c)] != (c % 2 == 0 ? 0 : kDead);
      }
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("conv1 decisions: positions that differ by a thousandth") {
  for_each_instruction_set([](const Kernels& kernels) {
    Random random;
    auto image = dim_beside_bright(random);
    for (std::size_t i = kBright; i < image.size(); ++i) image[i] += 2e-5F * (random.unit() - 0.5F);
    const auto weight = random.floats(kWeights, -0.2F, 0.2F);
    const auto bias = random.floats(kConv1Channels, -0.5F, 0.5F);
    const auto codes = conv1_forward_of(kernels, {"", image, weight, bias}).codes;
    Unpooled outputs = unpooled(image, weight, bias);
    const std::size_t first = outputs.index(kFirstDimCell, 0, 0);
    outputs.values = slice(outputs.values, first, outputs.values.size() - first);
    outputs.squares = slice(outputs.squares, first, outputs.squares.size() - first);
    check_decisions(outputs, codes.data() + kFirstDimCell * kConv1Channels, kRoundings);
  });
}

// The four positions of a window see the same pixel through the centre tap, and different ones through taps that are
// zero: their plain sums are equal to the last bit, and Winograd's are not.
TEST_CASE("conv1 decisions: of equal sums the first wins") {
  for_each_instruction_set([](const Kernels& kernels) {
    Random random;
    std::vector<float> image(kPool0Size), weight(kWeights);
    for (int cell = 0; cell < kPool1Cells; ++cell) {
      for (int c = 0; c < kConv0Channels; ++c) {
        const float value = random.unit();
        for (int i = 0; i < 4; ++i) {
          const int y = cell / kPool1Side * 2 + i / 2;
          const int x = cell % kPool1Side * 2 + i % 2;
          image[static_cast<std::size_t>((y * kPool0Side + x) * kConv0Channels + c)] = value;
        }
      }
    }
    constexpr int kCentre = kTaps / 2 * kConv0Channels * kConv1Channels;
    const auto taps = random.floats(kConv0Channels * kConv1Channels, -0.2F, 0.2F);
    std::copy(taps.begin(), taps.end(), weight.begin() + kCentre);
    const std::vector<float> bias(kConv1Channels, 10);  // opens ReLU everywhere
    const auto codes = conv1_forward_of(kernels, {"", image, weight, bias}).codes;
    CHECK(std::count(codes.begin(), codes.end(), 0) == kFlat);
  });
}

TEST_CASE("conv1 decisions: a blank window with a zero bias is dead, whatever its tile's rounding errors") {
  for_each_instruction_set([](const Kernels& kernels) {
    Random random;
    std::vector<float> image(kPool0Size);
    std::fill_n(image.begin() + (6 * kPool0Side + 6) * kConv0Channels, kConv0Channels, 0.7F);
    const auto weight = random.floats(kWeights, -0.2F, 0.2F);
    const auto memory = conv1_forward_of(kernels, {"", image, weight, std::vector<float>(kConv1Channels)});
    int wrong = 0;
    for (int cell = 0; cell < kPool1Cells; ++cell) {
      const auto near = [](int index) { return index >= 2 && index <= 4; };
      if (near(cell / kPool1Side) && near(cell % kPool1Side)) continue;
      for (int c = 0; c < kConv1Channels; ++c) {
        const auto at = static_cast<std::size_t>(cell * kConv1Channels + c);
        wrong += memory.codes[at] != kDead || memory.pooled[at] != 0;
      }
    }
    CHECK(wrong == 0);
  });
}

}  // namespace
}  // namespace mpsmnist::test
