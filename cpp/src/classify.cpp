#include "classify.h"

#include <algorithm>
#include <cmath>

#include "log_sum_exp.h"

namespace mpsmnist {

void softmax(const float* logits, int num_classes, float* probabilities) {
  const double normaliser = log_sum_exp(logits, num_classes);
  for (int c = 0; c < num_classes; ++c) probabilities[c] = static_cast<float>(std::exp(logits[c] - normaliser));
}

double cross_entropy(const float* logits, const float* expected, int num_classes) {
  const double normaliser = log_sum_exp(logits, num_classes);
  double loss = 0;
  for (int c = 0; c < num_classes; ++c) loss += expected[c] * (normaliser - logits[c]);
  return loss;
}

int argmax(const float* logits, int num_classes) {
  return static_cast<int>(std::max_element(logits, logits + num_classes) - logits);
}

}  // namespace mpsmnist
