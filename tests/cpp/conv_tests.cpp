// conv0 and conv1 with their pools against scalar versions.
#include <limits>

#include "check.h"
#include "cpu/reference.h"

namespace mpsmnist::test {
namespace {

using namespace cpu;  // NOLINT: the layouts' constants
using reference::Convolution;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <typename Real>
const Convolution<Real> kConv0Reference{kImageSide, 1, kConv0Channels};
template <typename Real>
const Convolution<Real> kConv1Reference{kPool0Side, kConv0Channels, kConv1Channels};

// [2][20][20][16] with zero borders <-> (14,14,32).
std::size_t plane_index(int y, int x, int c) {
  return static_cast<std::size_t>(c / kHalf * kHalfPlane + ((y + 2) * kPlaneSide + x + 2) * kHalf + c % kHalf);
}

template <typename Visit>
void for_each_pool0(Visit visit) {
  for (int i = 0; i < kPool0Size; ++i) {
    visit(static_cast<std::size_t>(i), plane_index(i / 32 / kPool0Side, i / 32 % kPool0Side, i % 32));
  }
}

// HWIO <-> [64][2][25][16].
std::size_t conv1_packed(int hwio) {
  const int tap = hwio / (32 * 64);
  const int in = hwio / 64 % 32;
  return static_cast<std::size_t>(hwio % 64 * kConv1Filter + (in / kHalf * kTaps + tap) * kHalf + in % kHalf);
}

// The codes must name the winner of float64; where rounding may have decided, one that is as good to within
// `tolerance`. `before_pool` may be some rows only.
void check_codes(const std::vector<double>& before_pool, int side, int channels, const std::uint8_t* codes,
                 double tolerance, const std::string& what) {
  int wrong = 0;
  const int cells = static_cast<int>(before_pool.size()) / channels / 4;
  for (int cell = 0; cell < cells; ++cell) {
    for (int c = 0; c < channels; ++c) {
      double best = 0;
      double values[5] = {};
      for (int i = 0; i < 4; ++i) {
        const int y = cell / (side / 2) * 2 + i / 2;
        const int x = cell % (side / 2) * 2 + i % 2;
        values[i] = before_pool[static_cast<std::size_t>((y * side + x) * channels + c)];
        best = std::max(best, values[i]);
      }
      const int code = codes[cell * channels + c];
      wrong += code > 4 || values[code] < best - tolerance;
    }
  }
  CHECK(wrong == 0, what + ": " + std::to_string(wrong) + " cells name the wrong winner");
}

struct Conv0Case {
  std::vector<float> image, weight, bias;
};

void check_conv0(const Kernels& kernels, const Conv0Case& with, const std::string& what) {
  const auto scalar_before = kConv0Reference<float>.forward(with.image, with.weight, with.bias);
  const auto exact_before =
      kConv0Reference<double>.forward(as<double>(with.image), as<double>(with.weight), as<double>(with.bias));
  const auto scalar = reference::relu_and_pool(scalar_before, kImageSide, kConv0Channels);
  const auto exact = reference::relu_and_pool(exact_before, kImageSide, kConv0Channels);

  Misaligned image(with.image), weight(with.weight), bias(with.bias), planes(kPlane);
  std::vector<std::uint8_t> codes(kPool0Size);
  kernels.conv0_forward(image.data(), weight.data(), bias.data(), planes.data(), codes.data());
  std::vector<float> pooled(kPool0Size);
  double inside = 0;
  double all = 0;
  for_each_pool0([&](std::size_t i, std::size_t at) { inside += std::abs(pooled[i] = planes[at]); });
  for (const float x : planes.values()) all += std::abs(x);
  CHECK(planes.intact() && std::abs(all - inside) <= 1e-9 * inside, what + ": the border was written");
  double largest = 0;
  for (const double x : exact_before) largest = std::max(largest, std::abs(x));
  check_codes(exact_before, kImageSide, kConv0Channels, codes.data(), 1e-6 * largest, what);
  check_accuracy(kernels.isa, "conv0 forward", relative_error(pooled, exact.values),
                 relative_error(scalar.values, exact.values), 1e-6);

  // The gradient, twice into the same partial: it must add. Dead cells may hold anything.
  auto gradient = random_floats(kPool0Size, -1, 1);
  const auto exact_gradient = kConv0Reference<double>.weight_gradient(
      reference::unpool(as<double>(gradient), codes, kImageSide, kConv0Channels), as<double>(with.image));
  const auto scalar_gradient = kConv0Reference<float>.weight_gradient(
      reference::unpool(gradient, codes, kImageSide, kConv0Channels), with.image);
  std::vector<double> exact_bias(kConv0Channels);
  for (std::size_t i = 0; i < kPool0Size; ++i) {
    if (codes[i] == kDead) {
      gradient[i] = kNan;
    } else {
      exact_bias[i % kConv0Channels] += gradient[i];
    }
  }
  Misaligned pooled_gradient(gradient), partials(2 * kConv0Partial), weight_gradient(kTaps * kConv0Channels),
      bias_gradient(kConv0Channels);
  for (int part = 0; part < 2; ++part) {
    kernels.conv0_weight_gradient(image.data(), pooled_gradient.data(), codes.data(),
                                  partials.data() + part * kConv0Partial);
  }
  kernels.conv0_weight_gradient(image.data(), pooled_gradient.data(), codes.data(), partials.data());
  kernels.conv0_reduce(partials.data(), 2, {.gradient = weight_gradient.data()}, {.gradient = bias_gradient.data()});
  std::vector<float> third = weight_gradient.values();
  std::vector<float> third_bias = bias_gradient.values();
  for (float& x : third) x /= 3;
  for (float& x : third_bias) x /= 3;
  CHECK(partials.intact() && weight_gradient.intact() && bias_gradient.intact(), what + ": wrote past the end");
  check_accuracy(kernels.isa, "conv0 weight gradient", relative_error(third, exact_gradient),
                 relative_error(scalar_gradient, exact_gradient), 2e-6);
  // A sum of up to 196 terms of either sign: measured against their number, not against what is left of them.
  for (std::size_t c = 0; c < kConv0Channels; ++c) {
    CHECK(std::abs(third_bias[c] - exact_bias[c]) <= 196 * 1e-6,
          what + ": bias gradient of channel " + std::to_string(c));
  }
}

struct Conv1Case {
  std::vector<float> input, weight, bias;  // input: one or two (14,14,32)
};

std::vector<float> slice(const std::vector<float>& from, int image, int size) {
  return {from.begin() + image * size, from.begin() + (image + 1) * size};
}

// What conv1's kernels are given, and what its forward makes of it.
struct Conv1Memory {
  int images;
  Misaligned planes, packed, bias;
  Misaligned forward{kTransformedFloats, kNan}, backward{kTransformedFloats, kNan};
  Misaligned scratch{kScratchFloats, kNan}, pooled;
  std::vector<std::uint8_t> codes;

  Conv1Memory(const Kernels& kernels, const Conv1Case& with)
      : images(static_cast<int>(with.input.size()) / kPool0Size),
        planes(static_cast<std::size_t>(images) * kPlane),
        packed(with.weight.size()),
        bias(with.bias),
        pooled(static_cast<std::size_t>(images * kFlat), kNan),
        codes(static_cast<std::size_t>(images * kFlat)) {
    for (int image = 0; image < images; ++image) {
      for_each_pool0([&](std::size_t i, std::size_t at) {
        planes[static_cast<std::size_t>(image * kPlane) + at] =
            with.input[static_cast<std::size_t>(image * kPool0Size) + i];
      });
    }
    for (std::size_t i = 0; i < with.weight.size(); ++i) packed[conv1_packed(static_cast<int>(i))] = with.weight[i];
    for (int part = 0; part < kConv1Parts; ++part) {
      kernels.conv1_transform_weights(packed.data(), part, forward.data(), backward.data());
    }
    kernels.conv1_forward(planes.data(), images, forward.data(), packed.data(), bias.data(), scratch.data(),
                          pooled.data(), codes.data());
  }

  bool intact() const {
    return planes.intact() && packed.intact() && bias.intact() && forward.intact() && backward.intact() &&
           scratch.intact() && pooled.intact();
  }
};

void check_conv1(const Kernels& kernels, const Conv1Case& with, const std::string& what) {
  Conv1Memory memory(kernels, with);
  auto& [images, planes, packed, bias, forward, backward, scratch, pooled, codes] = memory;

  Misaligned gradient(random_floats(static_cast<std::size_t>(images * kFlat), -1, 1));
  const std::vector<float> gradient_values = gradient.values();
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] == kDead) gradient[i] = kNan;
  }
  Misaligned input_gradient(static_cast<std::size_t>(images * kPool0Size), kNan);
  kernels.conv1_data_gradient(gradient.data(), codes.data(), images, backward.data(), scratch.data(),
                              input_gradient.data());
  Misaligned weight_gradient(with.weight.size(), kNan), bias_gradient(kConv1Channels, kNan);
  for (const auto& [first, last] : {std::pair{0, 3}, {3, 4}, {4, 20}, {20, 64}}) {
    kernels.conv1_weight_gradient(planes.data(), gradient.data(), codes.data(), images, first, last, scratch.data(),
                                  {.gradient = weight_gradient.data()}, {.gradient = bias_gradient.data()});
  }
  CHECK(memory.intact() && input_gradient.intact() && weight_gradient.intact() && bias_gradient.intact(),
        what + ": wrote past the end");

  const auto exact_weight = as<double>(with.weight);
  std::vector<double> exact_weight_gradient(with.weight.size());
  std::vector<float> scalar_weight_gradient(with.weight.size());
  std::vector<double> exact_bias_gradient(kConv1Channels);
  for (int image = 0; image < images; ++image) {
    const std::vector<float> input = slice(with.input, image, kPool0Size);
    const std::vector<std::uint8_t> image_codes(codes.begin() + image * kFlat, codes.begin() + (image + 1) * kFlat);
    const auto exact_before = kConv1Reference<double>.forward(as<double>(input), exact_weight, as<double>(with.bias));
    const auto exact = reference::relu_and_pool(exact_before, kPool0Side, kConv1Channels).values;
    const auto scalar = reference::relu_and_pool(kConv1Reference<float>.forward(input, with.weight, with.bias),
                                                 kPool0Side, kConv1Channels)
                            .values;
    check_accuracy(kernels.isa, "conv1 forward", relative_error(slice(pooled.values(), image, kFlat), exact),
                   relative_error(scalar, exact), 7e-6);
    double largest = 0;
    for (const double x : exact_before) largest = std::max(largest, std::abs(x));
    check_codes(exact_before, kPool0Side, kConv1Channels, image_codes.data(), 1e-6 * largest, what);

    const std::vector<float> given = slice(gradient_values, image, kFlat);
    const auto exact_given = reference::unpool(as<double>(given), image_codes, kPool0Side, kConv1Channels);
    const auto scalar_given = reference::unpool(given, image_codes, kPool0Side, kConv1Channels);
    const auto exact_input_gradient = kConv1Reference<double>.input_gradient(exact_given, exact_weight);
    check_accuracy(
        kernels.isa, "conv1 data gradient",
        relative_error(slice(input_gradient.values(), image, kPool0Size), exact_input_gradient),
        relative_error(kConv1Reference<float>.input_gradient(scalar_given, with.weight), exact_input_gradient), 1e-5);
    const auto exact_part = kConv1Reference<double>.weight_gradient(exact_given, as<double>(input));
    const auto scalar_part = kConv1Reference<float>.weight_gradient(scalar_given, input);
    for (std::size_t i = 0; i < exact_part.size(); ++i) {
      exact_weight_gradient[i] += exact_part[i];
      scalar_weight_gradient[i] += scalar_part[i];
    }
    for (std::size_t i = 0; i < kFlat; ++i) {
      if (image_codes[i] != kDead) exact_bias_gradient[i % kConv1Channels] += given[i];
    }
  }
  std::vector<float> unpacked(with.weight.size());
  for (std::size_t i = 0; i < unpacked.size(); ++i) unpacked[i] = weight_gradient[conv1_packed(static_cast<int>(i))];
  check_accuracy(kernels.isa, "conv1 weight gradient", relative_error(unpacked, exact_weight_gradient),
                 relative_error(scalar_weight_gradient, exact_weight_gradient), 1e-6);
  for (std::size_t c = 0; c < kConv1Channels; ++c) {
    CHECK(std::abs(bias_gradient[c] - exact_bias_gradient[c]) <= 98 * 1e-6, what + ": bias gradient");
  }
}

// Where the input is dim, next to a bright part that makes Winograd's errors larger than what decides: from row 6 on,
// so that the windows from row 4 on see nothing else, of which the tiles from row 5 to 9 see the bright part too.
void check_close_decisions(const Kernels& kernels, const std::vector<float>& weight, const std::vector<float>& bias) {
  const std::string isa = kernels.isa;
  constexpr std::size_t kDim = 6 * kPool0Side * kConv0Channels;
  constexpr int kFirstCell = 4 * kPool1Side;
  auto input = random_floats(kPool0Size, 0, 1);
  for (std::size_t i = kDim; i < kPool0Size; ++i) input[i] = 0.01F * input[i % kConv0Channels];
  const auto before =
      kConv1Reference<double>.forward(as<double>(input), as<double>(weight), std::vector<double>(kConv1Channels));

  // The same everywhere: the first position wins. The biases leave very little, of either sign.
  std::vector<float> nearly_closed(kConv1Channels);
  for (std::size_t c = 0; c < kConv1Channels; ++c) {
    const double flat = before[(9 * kPool0Side + 7) * kConv1Channels + c];
    nearly_closed[c] = static_cast<float>((c % 2 == 0 ? 1e-7 : -1e-7) - flat);
  }
  const Conv1Memory same(kernels, {input, weight, nearly_closed});
  int wrong = 0;
  for (int cell = kFirstCell + 1; cell < kFirstCell + kPool1Side - 1; ++cell) {
    for (int c = 0; c < kConv1Channels; ++c) {
      wrong += same.codes[static_cast<std::size_t>(cell * kConv1Channels + c)] != (c % 2 == 0 ? 0 : kDead);
    }
  }
  CHECK(wrong == 0, isa + ": " + std::to_string(wrong) + " decisions of conv1 near zero are wrong");

  // Nearly the same: the positions differ by a thousandth of what they are.
  const auto noise = random_floats(kPool0Size, -1e-5F, 1e-5F);
  for (std::size_t i = kDim; i < kPool0Size; ++i) input[i] += noise[i];
  const Conv1Memory close(kernels, {input, weight, bias});
  const auto exact = kConv1Reference<double>.forward(as<double>(input), as<double>(weight), as<double>(bias));
  check_codes({exact.begin() + 4 * kFirstCell * kConv1Channels, exact.end()}, kPool0Side, kConv1Channels,
              close.codes.data() + kFirstCell * kConv1Channels, 1e-7, isa + " conv1, nearly the same");
}

}  // namespace

void test_conv0(const Kernels& kernels) {
  const std::string isa = kernels.isa;
  const auto weight = random_floats(kTaps * kConv0Channels, -0.2F, 0.2F);
  const std::vector<float> bias(kConv0Channels, 0.1F);
  check_conv0(kernels, {random_floats(kImagePixels, 0, 1), weight, bias}, isa + " conv0, noise");
  check_conv0(kernels, {random_floats(kImagePixels, 0, 1, 0.8F), weight, random_floats(kConv0Channels, -1, 1)},
              isa + " conv0, sparse image");
  check_conv0(kernels,
              {random_floats(kImagePixels, -1e15F, 1e15F), random_floats(kTaps * kConv0Channels, -1e15F, 1e15F), bias},
              isa + " conv0, large");
  check_conv0(kernels,
              {random_floats(kImagePixels, 0, 1e-18F), random_floats(kTaps * kConv0Channels, -1e-15F, 1e-15F),
               std::vector<float>(kConv0Channels)},
              isa + " conv0, tiny");
  for (const int corner : {0, kImageSide - 1, kImagePixels - kImageSide, kImagePixels - 1}) {
    std::vector<float> image(kImagePixels);
    image[static_cast<std::size_t>(corner)] = 1;
    check_conv0(kernels, {image, weight, bias}, isa + " conv0, one pixel in a corner");
  }

  // A blank image: every window is a tie, and the first position must win; with a negative bias all are dead.
  Misaligned planes(kPlane);
  std::vector<std::uint8_t> codes(kPool0Size, 77);
  const std::vector<float> blank(kImagePixels);
  for (const float value : {0.5F, 0.0F, -0.5F}) {
    const std::vector<float> same(kConv0Channels, value);
    kernels.conv0_forward(blank.data(), weight.data(), same.data(), planes.data(), codes.data());
    int wrong = 0;
    for_each_pool0([&](std::size_t i, std::size_t at) {
      wrong += codes[i] != (value > 0 ? 0 : kDead) || planes[at] != std::max(value, 0.0F);
    });
    CHECK(wrong == 0, isa + ": a blank image with bias " + std::to_string(value));
  }

  // NaN and infinity come out again.
  for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
    std::vector<float> image(kImagePixels, 0.5F);
    image[300] = bad;
    kernels.conv0_forward(image.data(), weight.data(), bias.data(), planes.data(), codes.data());
    bool found = false;
    for (const float x : planes.values()) found |= !std::isfinite(x);
    CHECK(found, isa + ": a NaN or infinity in the image vanished in conv0");
  }
}

void test_conv1(const Kernels& kernels) {
  const std::string isa = kernels.isa;
  const auto weight = random_floats(kTaps * 32 * 64, -0.2F, 0.2F);
  const auto bias = random_floats(kConv1Channels, -0.5F, 0.5F);
  check_conv1(kernels, {random_floats(kPool0Size, 0, 1), weight, bias}, isa + " conv1, one image");
  check_conv1(kernels, {random_floats(2 * kPool0Size, 0, 1, 0.5F), weight, bias}, isa + " conv1, two images");
  check_conv1(kernels, {random_floats(kPool0Size, -1e12F, 1e12F), random_floats(weight.size(), -1e12F, 1e12F), bias},
              isa + " conv1, large");
  for (const int corner : {0, 13, 182, 195}) {
    std::vector<float> input(kPool0Size);
    for (int c = 0; c < 32; ++c) input[static_cast<std::size_t>(corner * 32 + c)] = 1;
    check_conv1(kernels, {input, weight, std::vector<float>(kConv1Channels)}, isa + " conv1, one cell in a corner");
  }

  check_close_decisions(kernels, weight, bias);

  // A blank input with a zero bias is dead, exactly: rounding noise must not open ReLU.
  std::vector<float> input(kPool0Size);
  for (int c = 0; c < 32; ++c) input[static_cast<std::size_t>((6 * 14 + 6) * 32 + c)] = 0.7F;
  const Conv1Memory blank(kernels, {input, weight, std::vector<float>(kConv1Channels)});
  int wrong = 0;
  for (int cell = 0; cell < kPool1Cells; ++cell) {
    const bool sees_it = cell / 7 >= 2 && cell / 7 <= 4 && cell % 7 >= 2 && cell % 7 <= 4;
    for (int c = 0; c < kConv1Channels; ++c) {
      const auto at = static_cast<std::size_t>(cell * kConv1Channels + c);
      wrong += !sees_it && (blank.codes[at] != kDead || blank.pooled[at] != 0);
    }
  }
  CHECK(wrong == 0, isa + ": blank windows of conv1 with a zero bias are not dead");

  for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
    input[(7 * kPool0Side + 7) * kConv0Channels + 3] = bad;
    const Conv1Memory broken(kernels, {input, weight, bias});
    bool found = false;
    for (const float x : broken.pooled.values()) found |= std::isnan(bad) ? std::isnan(x) : !std::isfinite(x);
    CHECK(found, isa + ": a NaN or infinity vanished in conv1");
  }
}

}  // namespace mpsmnist::test
