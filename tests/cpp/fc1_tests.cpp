// fc1, and the gradient of fc0's bias, against scalar versions.
#include <doctest/doctest.h>

#include "cpu/reference.h"
#include "support/accuracy.h"
#include "support/instruction_sets.h"
#include "support/kernel_calls.h"
#include "support/layouts.h"
#include "support/random.h"
#include "support/vectors.h"

namespace mpsmnist::test {
namespace {

struct Input {
  std::int64_t n;
  int num_classes;
  std::vector<float> hidden, weight, bias, logit_gradient;  // (n,1024) (1024,C) (C,) (n,C)

  Input(std::size_t images, std::size_t classes)
      : n(static_cast<std::int64_t>(images)), num_classes(static_cast<int>(classes)) {
    Random random(images * 1000 + classes);
    hidden = random.floats(images * kHidden, 0, 1, 0.5F);
    weight = random.floats(kHidden * classes, -1, 1);
    bias = random.floats(classes, -1, 1);
    logit_gradient = random.floats(images * classes, -1, 1);
  }

  std::size_t images() const { return static_cast<std::size_t>(n); }
  std::size_t classes() const { return static_cast<std::size_t>(num_classes); }

  std::vector<float> packed_weight() const {
    std::vector<float> packed(weight.size());
    for (std::size_t i = 0; i < weight.size(); ++i) packed[fc1_index(i, classes())] = weight[i];
    return packed;
  }
};

void check_forward(const Kernels& kernels, const Input& input) {
  Misaligned panels(to_panels(input.hidden, input.images())), packed(input.packed_weight()), bias(input.bias);
  Misaligned logits(input.images() * input.classes(), kNan);
  for (const auto& [first, last] : {std::pair{std::int64_t{0}, input.n / 2}, {input.n / 2, input.n}}) {
    fc1_forward(kernels, panels.data(), packed.data(), bias.data(), input.n, input.num_classes, first, last,
                logits.data());
  }
  CHECK(logits.intact());
  check_accuracy(
      kernels.isa,
      {.kernel = "fc1 forward",
       .result = logits.values(),
       .scalar = reference::dense(input.hidden, input.weight, input.bias, input.images()),
       .exact = reference::dense(exactly(input.hidden), exactly(input.weight), exactly(input.bias), input.images()),
       .roundings = kHidden + 1,
       .squares =
           sum(reference::dense(squares(input.hidden), squares(input.weight), squares(input.bias), input.images()))});
}

void check_data_gradient(const Kernels& kernels, const Input& input) {
  const std::size_t n = input.images();
  Misaligned panels(to_panels(input.hidden, n)), packed(input.packed_weight()), logit_gradient(input.logit_gradient);
  Misaligned hidden_gradient(n * kHidden, kNan);
  for (const auto& [first, last] : {std::pair{std::int64_t{0}, input.n / 2}, {input.n / 2, input.n}}) {
    fc1_data_gradient(kernels, logit_gradient.data(), packed.data(), panels.data(), input.n, input.num_classes, first,
                      last, hidden_gradient.data());
  }
  CHECK(hidden_gradient.intact());
  auto exact = reference::dense_input_gradient(exactly(input.logit_gradient), exactly(input.weight), n);
  auto scalar = reference::dense_input_gradient(input.logit_gradient, input.weight, n);
  auto terms = reference::dense_input_gradient(squares(input.logit_gradient), squares(input.weight), n);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    if (input.hidden[i] == 0) exact[i] = terms[i] = scalar[i] = 0;
  }
  check_accuracy(kernels.isa, {.kernel = "fc1 data gradient",
                               .result = from_panels(hidden_gradient.values(), n),
                               .scalar = scalar,
                               .exact = exact,
                               .roundings = static_cast<double>(input.classes()),
                               .squares = sum(terms)});
}

// Sums over the images, of (n, columns).
void check_bias_gradient(const char* instruction_set, const std::string& kernel, const Misaligned& result,
                         const std::vector<float>& gradient, std::size_t n) {
  CHECK(result.intact());
  const std::vector<float> ones(n, 1);
  check_accuracy(instruction_set, {.kernel = kernel,
                                   .result = result.values(),
                                   .scalar = reference::dense_weight_gradient(gradient, ones, n),
                                   .exact = reference::dense_weight_gradient(exactly(gradient), exactly(ones), n),
                                   .roundings = static_cast<double>(n),
                                   .squares = sum(squares(gradient))});
}

void check_weight_gradient(const Kernels& kernels, const Input& input) {
  const std::size_t n = input.images();
  const auto hidden_gradient = Random(n).floats(n * kHidden, -1, 1);
  Misaligned panels(to_panels(input.hidden, n)), hidden_panels(to_panels(hidden_gradient, n));
  Misaligned logit_gradient(input.logit_gradient), weight_gradient(input.weight.size(), kNan);
  Misaligned bias_gradient(input.classes(), kNan), fc0_bias_gradient(kHidden, kNan);
  for (int panel = 0; panel < kPanels; ++panel) {
    fc1_weight_gradient(kernels, logit_gradient.data(), panels.data(), hidden_panels.data(), input.n, input.num_classes,
                        panel, store_to(weight_gradient.data()), store_to(bias_gradient.data()),
                        store_to(fc0_bias_gradient.data()));
  }
  CHECK(weight_gradient.intact());
  std::vector<float> unpacked(input.weight.size());
  for (std::size_t i = 0; i < unpacked.size(); ++i) unpacked[i] = weight_gradient[fc1_index(i, input.classes())];
  check_accuracy(
      kernels.isa,
      {.kernel = "fc1 weight gradient",
       .result = unpacked,
       .scalar = reference::dense_weight_gradient(input.logit_gradient, input.hidden, n),
       .exact = reference::dense_weight_gradient(exactly(input.logit_gradient), exactly(input.hidden), n),
       .roundings = static_cast<double>(n),
       .squares = sum(reference::dense_weight_gradient(squares(input.logit_gradient), squares(input.hidden), n))});
  check_bias_gradient(kernels.isa, "fc1 bias gradient", bias_gradient, input.logit_gradient, n);
  check_bias_gradient(kernels.isa, "fc0 bias gradient", fc0_bias_gradient, hidden_gradient, n);
}

template <typename Check>
void check_inputs(Check check) {
  for_each_instruction_set([&](const Kernels& kernels) {
    for (const std::size_t n : {1U, 2U, 5U, 16U, 33U}) {
      for (const std::size_t classes : {1U, 2U, 10U, 47U, 1000U}) {
        if (classes == 1000 && n != 5) continue;  // once: the scalar versions are slow
        CAPTURE(n);
        CAPTURE(classes);
        check(kernels, Input(n, classes));
      }
    }
  });
}

TEST_CASE("fc1 forward") { check_inputs(check_forward); }

TEST_CASE("fc1 data gradient") { check_inputs(check_data_gradient); }

TEST_CASE("fc1 weight gradient") { check_inputs(check_weight_gradient); }

}  // namespace
}  // namespace mpsmnist::test
