// From logits to probabilities, classes and losses, in double: for the predictions of every device.
#pragma once

namespace mpsmnist {

/// Softmax of logits (C,) into probabilities (C,).
void softmax(const float* logits, int num_classes, float* probabilities);

/// Cross-entropy of logits (C,) against expected probabilities (C,).
double cross_entropy(const float* logits, const float* expected, int num_classes);

/// The first index of the largest logit.
int argmax(const float* logits, int num_classes);

}  // namespace mpsmnist
