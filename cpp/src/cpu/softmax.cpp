#include "cpu/softmax.h"

#include <algorithm>
#include <cmath>

namespace mpsmnist::cpu {

double softmax_cross_entropy(const float* logits, const float* labels, int num_classes, double scale, float* gradient) {
  const double greatest = *std::max_element(logits, logits + num_classes);
  double sum = 0;
  for (int c = 0; c < num_classes; ++c) sum += std::exp(logits[c] - greatest);
  const double log_sum = greatest + std::log(sum);
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
