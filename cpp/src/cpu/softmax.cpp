#include "cpu/softmax.h"

#include <cmath>

#include "log_sum_exp.h"

namespace mpsmnist::cpu {

double softmax_cross_entropy(const float* logits, const float* labels, int num_classes, double scale, float* gradient) {
  const double log_sum = log_sum_exp(logits, num_classes);
  double loss = 0;
  double label_sum = 0;
  for (int c = 0; c < num_classes; ++c) {
    loss += labels[c] * (log_sum - logits[c]);
    label_sum += labels[c];
  }
  for (int c = 0; c < num_classes; ++c) {
    gradient[c] = static_cast<float>(scale * (label_sum * std::exp(logits[c] - log_sum) - labels[c]));
  }
  return loss;
}

}  // namespace mpsmnist::cpu
