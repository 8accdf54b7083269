// fc0, fc1, the update and the loss against scalar versions.
#include <algorithm>
#include <limits>

#include "check.h"
#include "cpu/reference.h"
#include "cpu/softmax.h"

namespace mpsmnist::test {
namespace {

using namespace cpu;  // NOLINT: the layouts' constants

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::size_t fc0_packed(std::size_t row, std::size_t column) {
  return (column / kPanel * kFlat + row) * kPanel + column % kPanel;
}

std::size_t hidden_index(std::size_t image, std::size_t column, std::size_t n) {
  return (column / kPanel * n + image) * kPanel + column % kPanel;
}

// (n,1024) <-> [16][n][64].
std::vector<float> to_panels(const std::vector<float>& rows, std::size_t n) {
  std::vector<float> panels(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) panels[hidden_index(i / kHidden, i % kHidden, n)] = rows[i];
  return panels;
}

std::vector<float> from_panels(const std::vector<float>& panels, std::size_t n) {
  std::vector<float> rows(panels.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = panels[hidden_index(i / kHidden, i % kHidden, n)];
  return rows;
}

// The scalar sums over all of fc0 are slow: rows outside of [first, last) have no input, and are left out of them.
struct Fc0Case {
  std::size_t n;
  float zeros;
  float scale;
};

void check_fc0_forward(const Kernels& kernels, const Fc0Case& with, const std::vector<float>& weight) {
  const std::string what = std::string(kernels.isa) + " fc0, n = " + std::to_string(with.n);
  const auto x = random_floats(with.n * kFlat, 0, with.scale, with.zeros);
  const auto bias = random_floats(kHidden, -1, 1);
  Misaligned pooled(x), packed(weight.size()), hidden(with.n * kHidden, kNan), packed_bias(bias);
  for (std::size_t i = 0; i < weight.size(); ++i) packed[fc0_packed(i / kHidden, i % kHidden)] = weight[i];
  const std::size_t groups = (with.n + kFc0Group - 1) / kFc0Group;
  std::vector<std::uint8_t> channels(groups * kFlat);
  std::vector<std::uint8_t> counts(groups * kPool1Cells);
  Misaligned values(groups * kFlat * kFc0Group, kNan);
  const ActiveInputs active{channels.data(), counts.data(), values.data()};
  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t first = group * kFc0Group;
    kernels.fc0_list_active(pooled.data() + first * kFlat,
                            static_cast<int>(std::min<std::size_t>(kFc0Group, with.n - first)),
                            static_cast<std::int64_t>(group), active);
  }
  const auto n = static_cast<std::int64_t>(with.n);
  const auto last = static_cast<std::int64_t>(groups);
  for (int panel = 0; panel < kPanels; ++panel) {
    kernels.fc0_forward(active, packed.data(), packed_bias.data(), n, panel, 0, (last + 1) / 2, hidden.data());
    if (last > 1)
      kernels.fc0_forward(active, packed.data(), packed_bias.data(), n, panel, (last + 1) / 2, last, hidden.data());
  }
  CHECK(hidden.intact(), what + ": wrote past the end");
  auto exact = reference::dense(as<double>(x), as<double>(weight), as<double>(bias), with.n);
  auto scalar = reference::dense(x, weight, bias, with.n);
  for (double& value : exact) value = std::max(value, 0.0);
  for (float& value : scalar) value = std::max(value, 0.0F);
  check_accuracy(kernels.isa, "fc0 forward", relative_error(from_panels(hidden.values(), with.n), exact),
                 relative_error(scalar, exact), 1e-6);
}

// Two tasks of 16 rows, the first and the last.
void check_fc0_backward(const Kernels& kernels, const Fc0Case& with, const std::vector<float>& weight) {
  const std::string what = std::string(kernels.isa) + " fc0 backward, n = " + std::to_string(with.n);
  const auto x = random_floats(with.n * kFlat, 0, with.scale, with.zeros);
  const auto gradient = random_floats(with.n * kHidden, -1, 1, 0.5F);
  Misaligned pooled(x), packed(weight.size()), scratch(kScratchFloats, kNan), pooled_gradient(with.n * kFlat, -7.0F);
  Misaligned hidden_gradient(to_panels(gradient, with.n)), weight_gradient(weight.size(), -7.0F);
  for (std::size_t i = 0; i < weight.size(); ++i) packed[fc0_packed(i / kHidden, i % kHidden)] = weight[i];
  for (const int row : {0, kFlat - kFc0Rows}) {
    kernels.fc0_backward(pooled.data(), packed.data(), hidden_gradient.data(), static_cast<std::int64_t>(with.n), row,
                         row, scratch.data(), pooled_gradient.data(), {.gradient = weight_gradient.data()});
    // The same slice of the layer for the scalar version.
    std::vector<float> x_rows;
    for (std::size_t image = 0; image < with.n; ++image) {
      for (int r = row; r < row + kFc0Rows; ++r) x_rows.push_back(x[image * kFlat + static_cast<std::size_t>(r)]);
    }
    const std::vector<float> w_rows(weight.begin() + row * kHidden, weight.begin() + (row + kFc0Rows) * kHidden);
    auto exact = reference::dense_input_gradient(as<double>(gradient), as<double>(w_rows), with.n);
    auto scalar = reference::dense_input_gradient(gradient, w_rows, with.n);
    std::vector<float> result;
    for (std::size_t i = 0; i < x_rows.size(); ++i) {
      const float value = pooled_gradient[i / kFc0Rows * kFlat + static_cast<std::size_t>(row) + i % kFc0Rows];
      result.push_back(x_rows[i] == 0 ? 0 : value);
      if (x_rows[i] == 0) exact[i] = scalar[i] = 0;
    }
    check_accuracy(kernels.isa, "fc0 data gradient", relative_error(result, exact), relative_error(scalar, exact),
                   1e-6);
    const auto exact_weight = reference::dense_weight_gradient(as<double>(gradient), as<double>(x_rows), with.n);
    const auto scalar_weight = reference::dense_weight_gradient(gradient, x_rows, with.n);
    result.clear();
    for (std::size_t i = 0; i < exact_weight.size(); ++i) {
      result.push_back(weight_gradient[fc0_packed(static_cast<std::size_t>(row) + i / kHidden, i % kHidden)]);
    }
    check_accuracy(kernels.isa, "fc0 weight gradient", relative_error(result, exact_weight),
                   relative_error(scalar_weight, exact_weight), 1e-6);
  }
  CHECK(pooled_gradient.intact() && weight_gradient.intact() && scratch.intact(), what + ": wrote past the end");
  CHECK(weight_gradient[fc0_packed(kFc0Rows, 0)] == -7.0F, what + ": wrote rows of another task");
}

// Updating in place must give the very bits of storing the gradient and updating afterwards.
void check_fused_update(const Kernels& kernels, std::size_t images, float momentum) {
  const auto x = random_floats(images * kFlat, 0, 1, 0.5F);
  const auto gradient = random_floats(images * kHidden, -1, 1);
  const auto n = static_cast<std::int64_t>(images);
  const auto start = random_floats(static_cast<std::size_t>(kFlat) * kHidden, -1, 1);
  std::vector<float> fused = start, separate = start, fused_velocity(start.size(), 0.25F),
                     velocity(start.size(), 0.25F);
  std::vector<float> stored(start.size()), scratch(kScratchFloats), pooled_gradient(x.size()),
      fused_pooled_gradient(x.size());
  float* const fused_v = momentum > 0 ? fused_velocity.data() : nullptr;
  kernels.fc0_backward(x.data(), start.data(), gradient.data(), n, 32, 32, scratch.data(), pooled_gradient.data(),
                       {.gradient = stored.data()});
  kernels.fc0_backward(
      x.data(), fused.data(), gradient.data(), n, 32, 32, scratch.data(), fused_pooled_gradient.data(),
      {.gradient = nullptr, .weight = fused.data(), .velocity = fused_v, .learning_rate = 0.3F, .momentum = momentum});
  for (int panel = 0; panel < kPanels; ++panel) {
    const std::size_t at = (static_cast<std::size_t>(panel) * kFlat + 32) * kPanel;
    kernels.update(stored.data() + at, kFc0Rows * kPanel,
                   {.gradient = nullptr,
                    .weight = separate.data() + at,
                    .velocity = momentum > 0 ? velocity.data() + at : nullptr,
                    .learning_rate = 0.3F,
                    .momentum = momentum});
  }
  CHECK(fused == separate && fused_velocity == velocity && fused_pooled_gradient == pooled_gradient,
        std::string(kernels.isa) + ": the fused update has other bits, n = " + std::to_string(n));
}

void check_fc1(const Kernels& kernels, std::size_t n, int num_classes) {
  const std::string what =
      std::string(kernels.isa) + " fc1, n = " + std::to_string(n) + ", C = " + std::to_string(num_classes);
  const auto classes = static_cast<std::size_t>(num_classes);
  const auto hidden = random_floats(n * kHidden, 0, 1, 0.5F);
  const auto weight = random_floats(kHidden * classes, -1, 1);  // (1024, C)
  const auto bias = random_floats(classes, -1, 1);
  const auto gradient = random_floats(n * classes, -1, 1);
  Misaligned panels(to_panels(hidden, n)), packed(weight.size()), packed_bias(bias), logits(n * classes, kNan);
  for (std::size_t i = 0; i < weight.size(); ++i) packed[i % classes * kHidden + i / classes] = weight[i];
  const auto images = static_cast<std::int64_t>(n);
  kernels.fc1_forward(panels.data(), packed.data(), packed_bias.data(), images, num_classes, 0, images / 2,
                      logits.data());
  kernels.fc1_forward(panels.data(), packed.data(), packed_bias.data(), images, num_classes, images / 2, images,
                      logits.data());
  const auto exact = reference::dense(as<double>(hidden), as<double>(weight), as<double>(bias), n);
  check_accuracy(kernels.isa, "fc1 forward", relative_error(logits.values(), exact),
                 relative_error(reference::dense(hidden, weight, bias, n), exact), 2e-6);

  Misaligned logit_gradient(gradient), hidden_gradient(n * kHidden, kNan);
  kernels.fc1_data_gradient(logit_gradient.data(), packed.data(), panels.data(), images, num_classes, 0, images,
                            hidden_gradient.data());
  auto exact_data = reference::dense_input_gradient(as<double>(gradient), as<double>(weight), n);
  auto scalar_data = reference::dense_input_gradient(gradient, weight, n);
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    if (hidden[i] == 0) exact_data[i] = scalar_data[i] = 0;
  }
  check_accuracy(kernels.isa, "fc1 data gradient", relative_error(from_panels(hidden_gradient.values(), n), exact_data),
                 relative_error(scalar_data, exact_data), 2e-6);

  Misaligned weight_gradient(weight.size(), kNan), bias_gradient(classes, kNan), fc0_bias_gradient(kHidden, kNan);
  for (int panel = 0; panel < kPanels; ++panel) {
    kernels.fc1_weight_gradient(logit_gradient.data(), panels.data(), hidden_gradient.data(), images, num_classes,
                                panel, {.gradient = weight_gradient.data()}, {.gradient = bias_gradient.data()},
                                {.gradient = fc0_bias_gradient.data()});
  }
  std::vector<float> unpacked(weight.size());
  for (std::size_t i = 0; i < weight.size(); ++i) unpacked[i] = weight_gradient[i % classes * kHidden + i / classes];
  const auto exact_weight = reference::dense_weight_gradient(as<double>(gradient), as<double>(hidden), n);
  check_accuracy(kernels.isa, "fc1 weight gradient", relative_error(unpacked, exact_weight),
                 relative_error(reference::dense_weight_gradient(gradient, hidden, n), exact_weight), 2e-6);
  const std::vector<float> ones(n, 1);
  const auto exact_bias = reference::dense_weight_gradient(as<double>(gradient), as<double>(ones), n);
  for (std::size_t c = 0; c < classes; ++c) {
    CHECK(std::abs(bias_gradient[c] - exact_bias[c]) <= 1e-6 * static_cast<double>(n), what + ": bias gradient");
  }
  const auto data_gradient = from_panels(hidden_gradient.values(), n);
  const auto exact_fc0_bias = reference::dense_weight_gradient(as<double>(data_gradient), as<double>(ones), n);
  check_accuracy(kernels.isa, "fc0 bias gradient", relative_error(fc0_bias_gradient.values(), exact_fc0_bias), 0, 2e-6);
  CHECK(logits.intact() && hidden_gradient.intact() && weight_gradient.intact() && bias_gradient.intact() &&
            fc0_bias_gradient.intact(),
        what + ": wrote past the end");
}

}  // namespace

void test_fc0(const Kernels& kernels) {
  const auto weight = random_floats(static_cast<std::size_t>(kFlat) * kHidden, -0.2F, 0.2F);
  for (const Fc0Case& with :
       {Fc0Case{1, 0.0F, 1.0F}, {2, 1.0F, 1.0F}, {3, 0.5F, 1e15F}, {4, 0.0F, 1.0F}, {17, 0.6F, 1.0F}}) {
    check_fc0_forward(kernels, with, weight);
  }
  for (const std::size_t n : {1U, 2U, 7U, 31U, 32U, 33U, 64U, 97U}) {
    check_fc0_backward(kernels, {n, n == 2 ? 1.0F : n == 7 ? 0.0F : 0.5F, n == 31 ? 1e15F : 1.0F}, weight);
  }
  for (const std::size_t images : {5U, 37U}) {
    check_fused_update(kernels, images, 0);
    check_fused_update(kernels, images, 0.9F);
  }
}

void test_fc1(const Kernels& kernels) {
  for (const std::size_t n : {1U, 2U, 5U, 16U, 33U}) {
    for (const int classes : {1, 2, 10, 47}) check_fc1(kernels, n, classes);
  }
  check_fc1(kernels, 3, 1000);
}

void test_update(const Kernels& kernels) {
  for (std::size_t count = 0; count <= 67; ++count) {
    for (const float momentum : {0.0F, 0.9F}) {
      const auto gradient = random_floats(count, -1, 1);
      Misaligned g(gradient), weight(random_floats(count, -1, 1)), velocity(random_floats(count, -1, 1));
      auto exact = as<double>(weight.values());
      auto exact_velocity = momentum > 0 ? as<double>(velocity.values()) : std::vector<double>(count);
      kernels.update(g.data(), count,
                     {.gradient = nullptr,
                      .weight = weight.data(),
                      .velocity = momentum > 0 ? velocity.data() : nullptr,
                      .learning_rate = 0.1F,
                      .momentum = momentum});
      reference::update(exact, exact_velocity, as<double>(gradient), static_cast<double>(0.1F),
                        static_cast<double>(momentum));
      check_accuracy(kernels.isa, "update", relative_error(weight.values(), exact), 0, 2e-7);
      if (momentum > 0)
        check_accuracy(kernels.isa, "update (velocity)", relative_error(velocity.values(), exact_velocity), 0, 2e-7);
      CHECK(weight.intact() && velocity.intact(), std::string(kernels.isa) + ": update of " + std::to_string(count));
    }
  }
}

void test_softmax() {
  const auto loss_of = [](std::vector<float> logits, const std::vector<float>& labels, std::vector<float>& gradient) {
    gradient.assign(logits.size(), 0);
    return cpu::softmax_cross_entropy(logits.data(), labels.data(), static_cast<int>(logits.size()), 1.0,
                                      gradient.data());
  };
  std::vector<float> gradient;
  CHECK(loss_of({3}, {1}, gradient) == 0 && gradient[0] == 0, "one class");
  CHECK(std::abs(loss_of({0, 0, 0, 0}, {0, 1, 0, 0}, gradient) - std::log(4.0)) < 1e-12, "equal logits");
  CHECK(gradient == (std::vector<float>{0.25F, -0.75F, 0.25F, 0.25F}), "equal logits");
  CHECK(loss_of({3e38F, -3e38F}, {1, 0}, gradient) == 0, "logits of the largest size");
  CHECK(std::isfinite(loss_of({3e38F, -3e38F}, {0.5F, 0.5F}, gradient)), "a very wrong guess is finite");
  CHECK(std::abs(loss_of({1, 2}, {0.25F, 0.75F}, gradient) - (std::log(std::exp(1) + std::exp(2)) - 1.75)) < 1e-12,
        "soft labels");
  for (const std::vector<float>& logits :
       {std::vector<float>{kNan, 1}, {1, kNan}, {std::numeric_limits<float>::infinity(), 0}}) {
    CHECK(std::isnan(loss_of(logits, {0, 1}, gradient)) || std::isinf(loss_of(logits, {0, 1}, gradient)),
          "NaN reaches the loss");
  }
}

}  // namespace mpsmnist::test
