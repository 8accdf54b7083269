// Softmax cross-entropy of one example with soft labels.
#pragma once

namespace mpsmnist::cpu {

/// sum_c labels[c] * (log sum_k exp(logits[k]) - logits[c]), and its gradient times `scale` in gradient (C,).
double softmax_cross_entropy(const float* logits, const float* labels, int num_classes, double scale, float* gradient);

}  // namespace mpsmnist::cpu
