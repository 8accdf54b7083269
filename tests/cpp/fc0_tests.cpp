// fc0 against scalar versions, and its update in place.
#include <doctest/doctest.h>

#include <algorithm>

#include "cpu/reference.h"
#include "support/accuracy.h"
#include "support/instruction_sets.h"
#include "support/kernel_calls.h"
#include "support/layouts.h"
#include "support/random.h"
#include "support/vectors.h"

namespace mpsmnist::test {
namespace {

constexpr std::size_t kWeights = static_cast<std::size_t>(kFlat) * kHidden;

struct Input {
  std::size_t n;
  float zeros;  // the share of inputs that are zero
  float scale;
};

std::vector<float> packed(const std::vector<float>& weight) {
  std::vector<float> result(weight.size());
  for (std::size_t i = 0; i < weight.size(); ++i) result[fc0_index(i / kHidden, i % kHidden)] = weight[i];
  return result;
}

// What fc0_list_active fills in.
struct ActiveMemory {
  std::size_t groups;
  std::vector<std::uint8_t> channels, counts;
  Misaligned values;

  explicit ActiveMemory(std::size_t n)
      : groups((n + kFc0Group - 1) / kFc0Group),
        channels(groups * kFlat),
        counts(groups * kPool1Cells),
        values(groups * kFlat * kFc0Group, kNan) {}

  ActiveInputs inputs() { return {channels.data(), counts.data(), values.data()}; }
};

void check_forward(const Kernels& kernels, const Input& input, const std::vector<float>& weight) {
  Random random(input.n);
  const auto x = random.floats(input.n * kFlat, 0, input.scale, input.zeros);
  const auto bias = random.floats(kHidden, -1, 1);
  Misaligned pooled(x), packed_weight(packed(weight)), packed_bias(bias), hidden(input.n * kHidden, kNan);
  ActiveMemory active(input.n);
  for (std::size_t group = 0; group < active.groups; ++group) {
    const std::size_t first = group * kFc0Group;
    fc0_list_active(kernels, pooled.data() + first * kFlat,
                    static_cast<int>(std::min<std::size_t>(kFc0Group, input.n - first)),
                    static_cast<std::int64_t>(group), active.inputs());
  }
  const auto n = static_cast<std::int64_t>(input.n);
  const auto last = static_cast<std::int64_t>(active.groups);
  const std::int64_t middle = (last + 1) / 2;
  for (int panel = 0; panel < kPanels; ++panel) {
    for (const auto& [from, to] : {std::pair{std::int64_t{0}, middle}, {middle, last}}) {
      if (from == to) continue;
      fc0_forward(kernels, active.inputs(), packed_weight.data(), packed_bias.data(), n, panel, from, to,
                  hidden.data());
    }
  }
  CHECK(hidden.intact());
  CHECK(active.values.intact());

  auto exact = reference::dense(exactly(x), exactly(weight), exactly(bias), input.n);
  auto scalar = reference::dense(x, weight, bias, input.n);
  auto terms = reference::dense(squares(x), squares(weight), squares(bias), input.n);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    if (exact[i] < 0) exact[i] = terms[i] = 0;
    scalar[i] = std::max(scalar[i], 0.0F);
  }
  check_accuracy(kernels.isa, {.kernel = "fc0 forward",
                               .result = from_panels(hidden.values(), input.n),
                               .scalar = scalar,
                               .exact = exact,
                               .roundings = kFlat + 1,
                               .squares = sum(terms)});
}

// Both gradients of fc0, of some rows, by one kernel or by two.
using Backward = void (*)(const Kernels& kernels, const float* pooled, const float* weight,
                          const float* hidden_gradient, std::int64_t n, int row, float* scratch, float* pooled_gradient,
                          const Sink& sink);

void backward_in_halves(const Kernels& kernels, const float* pooled, const float* weight, const float* hidden_gradient,
                        std::int64_t n, int row, float* scratch, float* pooled_gradient, const Sink& sink) {
  fc0_data_gradient(kernels, pooled, weight, hidden_gradient, n, row, scratch, pooled_gradient);
  fc0_weight_gradient(kernels, pooled, weight, hidden_gradient, n, row, scratch, sink);
}

// Two tasks, the first and the last.
void check_backward(const Kernels& kernels, const Input& input, const std::vector<float>& weight, Backward backward) {
  Random random(input.n);
  const auto x = random.floats(input.n * kFlat, 0, input.scale, input.zeros);
  const auto gradient = random.floats(input.n * kHidden, -1, 1, 0.5F);
  Misaligned pooled(x), packed_weight(packed(weight)), hidden_gradient(to_panels(gradient, input.n));
  Misaligned scratch(kScratchFloats, kNan), pooled_gradient(x.size(), -7), weight_gradient(weight.size(), -7);
  for (const std::size_t row : {std::size_t{0}, std::size_t{kFlat - kFc0Rows}}) {
    CAPTURE(row);
    backward(kernels, pooled.data(), packed_weight.data(), hidden_gradient.data(), static_cast<std::int64_t>(input.n),
             static_cast<int>(row), scratch.data(), pooled_gradient.data(), store_to(weight_gradient.data()));
    // The same rows for the scalar version. Where an input is zero, its gradient is not computed.
    std::vector<float> x_rows, data_gradient;
    for (std::size_t image = 0; image < input.n; ++image) {
      for (std::size_t r = row; r < row + kFc0Rows; ++r) {
        x_rows.push_back(x[image * kFlat + r]);
        data_gradient.push_back(x_rows.back() == 0 ? 0 : pooled_gradient[image * kFlat + r]);
      }
    }
    const auto w_rows = slice(weight, row * kHidden, kFc0Rows * kHidden);
    auto exact = reference::dense_input_gradient(exactly(gradient), exactly(w_rows), input.n);
    auto scalar = reference::dense_input_gradient(gradient, w_rows, input.n);
    auto terms = reference::dense_input_gradient(squares(gradient), squares(w_rows), input.n);
    for (std::size_t i = 0; i < x_rows.size(); ++i) {
      if (x_rows[i] == 0) exact[i] = terms[i] = scalar[i] = 0;
    }
    check_accuracy(kernels.isa, {.kernel = "fc0 data gradient",
                                 .result = data_gradient,
                                 .scalar = scalar,
                                 .exact = exact,
                                 .roundings = kHidden,
                                 .squares = sum(terms)});

    check_accuracy(kernels.isa,
                   {.kernel = "fc0 weight gradient",
                    .result = slice(weight_gradient.values(), row * kHidden, kFc0Rows * kHidden),
                    .scalar = reference::dense_weight_gradient(gradient, x_rows, input.n),
                    .exact = reference::dense_weight_gradient(exactly(gradient), exactly(x_rows), input.n),
                    .roundings = static_cast<double>(input.n),
                    .squares = sum(reference::dense_weight_gradient(squares(gradient), squares(x_rows), input.n))});
  }
  CHECK(scratch.intact());
  CHECK(pooled_gradient.intact());
  CHECK(weight_gradient.intact());
  CHECK_MESSAGE(weight_gradient[kFc0Rows * kHidden] == -7, "rows of another task were written");
}

// What a backward pass with an update leaves behind.
struct Updated {
  std::vector<float> weight, velocity, pooled_gradient;
  bool operator==(const Updated&) const = default;
};

TEST_CASE("fc0 forward") {
  for_each_instruction_set([](const Kernels& kernels) {
    const auto weight = Random().floats(kWeights, -0.2F, 0.2F);
    for (const Input& input : {Input{1, 0, 1}, {2, 1, 1}, {3, 0.5F, 1e15F}, {4, 0, 1}, {17, 0.6F, 1}}) {
      CAPTURE(input.n);
      check_forward(kernels, input, weight);
    }
  });
}

TEST_CASE("fc0 backward, at once and in halves") {
  for_each_instruction_set([](const Kernels& kernels) {
    const auto weight = Random().floats(kWeights, -0.2F, 0.2F);
    for (const Input& input : {Input{1, 0.5F, 1},
                               {2, 1, 1},
                               {7, 0, 1},
                               {31, 0.5F, 1e15F},
                               {32, 0.5F, 1},
                               {33, 0.5F, 1},
                               {64, 0.5F, 1},
                               {97, 0.5F, 1}}) {
      CAPTURE(input.n);
      check_backward(kernels, input, weight, fc0_backward);
      check_backward(kernels, input, weight, backward_in_halves);
    }
  });
}

TEST_CASE("fc0 backward: an update in place has the bits of a stored gradient and an update from it") {
  for_each_instruction_set([](const Kernels& kernels) {
    constexpr int kRow = 32;
    const auto start = Random().floats(kWeights, -1, 1);
    for (const std::int64_t n : {5, 37}) {
      for (const float momentum : {0.0F, 0.9F}) {
        CAPTURE(n);
        CAPTURE(momentum);
        Random random(static_cast<std::uint64_t>(n));
        const auto x = random.floats(static_cast<std::size_t>(n) * kFlat, 0, 1, 0.5F);
        const auto gradient = random.floats(static_cast<std::size_t>(n) * kHidden, -1, 1);
        std::vector<float> stored(kWeights), scratch(kScratchFloats);
        Updated fused{start, std::vector<float>(kWeights, 0.25F), std::vector<float>(x.size())};
        Updated separate = fused;
        const auto velocity_of = [&](Updated& updated) { return momentum > 0 ? updated.velocity.data() : nullptr; };

        fc0_backward(kernels, x.data(), fused.weight.data(), gradient.data(), n, kRow, scratch.data(),
                     fused.pooled_gradient.data(), descend(fused.weight.data(), velocity_of(fused), 0.3F, momentum));
        fc0_backward(kernels, x.data(), separate.weight.data(), gradient.data(), n, kRow, scratch.data(),
                     separate.pooled_gradient.data(), store_to(stored.data()));
        fc0_update(kernels, stored.data(), kRow,
                   descend(separate.weight.data(), velocity_of(separate), 0.3F, momentum));
        CHECK(separate.weight != start);
        CHECK_MESSAGE(fused == separate, "other bits");

        Updated halves{start, std::vector<float>(kWeights, 0.25F), std::vector<float>(x.size())};
        backward_in_halves(kernels, x.data(), halves.weight.data(), gradient.data(), n, kRow, scratch.data(),
                           halves.pooled_gradient.data(),
                           descend(halves.weight.data(), velocity_of(halves), 0.3F, momentum));
        CHECK_MESSAGE(halves == fused, "other bits in halves");
      }
    }
  });
}

TEST_CASE("fc0 backward: its halves leave each other's memory alone") {
  for_each_instruction_set([](const Kernels& kernels) {
    constexpr std::int64_t kImages = 37;
    const auto start = Random().floats(kWeights, -1, 1);
    const auto x = Random(1).floats(kImages * kFlat, 0, 1, 0.5F);
    const auto gradient = Random(2).floats(kImages * kHidden, -1, 1);
    std::vector<float> weight = start, scratch(kScratchFloats), data_gradient(x.size(), -7);
    fc0_data_gradient(kernels, x.data(), weight.data(), gradient.data(), kImages, 0, scratch.data(),
                      data_gradient.data());
    CHECK(weight == start);
    for (std::size_t i = 0; i < x.size(); ++i) {
      REQUIRE((data_gradient[i] == -7) == (x[i] == 0 || i % kFlat >= kFc0Rows));
    }
    // With nowhere to put the data gradient.
    fc0_weight_gradient(kernels, x.data(), weight.data(), gradient.data(), kImages, 0, scratch.data(),
                        descend(weight.data(), nullptr, 0.3F, 0));
    for (std::size_t i = 0; i < kWeights; ++i) {
      REQUIRE((weight[i] == start[i]) == (i / kPanel % kFlat >= kFc0Rows));
    }
  });
}

}  // namespace
}  // namespace mpsmnist::test
