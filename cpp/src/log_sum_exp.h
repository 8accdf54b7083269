// The one log-sum-exp that losses and probabilities go through.
#pragma once

#include <algorithm>
#include <cmath>

namespace mpsmnist {

/// log(sum(exp(logits))) of logits (C,), with the largest logit taken out so that nothing overflows.
inline double log_sum_exp(const float* logits, int num_classes) {
  const double largest = *std::max_element(logits, logits + num_classes);
  double sum = 0;
  for (int c = 0; c < num_classes; ++c) sum += std::exp(logits[c] - largest);
  return largest + std::log(sum);
}

}  // namespace mpsmnist
