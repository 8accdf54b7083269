// What callers hand in: checked whole before anything changes, then staged as floats for an engine.
#pragma once

#include <cstdint>
#include <vector>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

/// Throws ArgumentError if there are no images.
void check_not_empty(const Images& images);
/// Throws ArgumentError unless there are images, as many labels, and every label is valid.
void check_labels(const Images& images, const Labels& labels, int num_classes);
/// Throws ArgumentError unless every pixel of image `row` is finite.
void check_image(const Images& images, std::int64_t row);
/// All of the above.
void check_examples(const Images& images, const Labels& labels, int num_classes);
/// The same for the rows that `batches` selects, whose indices must be in range.
void check_batches(const Images& images, const Labels& labels, const Batches& batches, int num_classes);
/// Throws ArgumentError, naming `what`, prefix + the parameter's name, and the element, unless flat (P,) is all finite.
void check_finite(const char* what, const std::vector<Parameter>& parameters, const float* flat,
                  const char* prefix = "");

/// Writes image `row` to out (28, 28), bytes scaled by 1/255.
void stage_image(const Images& images, std::int64_t row, float* out);
/// Writes the label of `row` to out (C,) as probabilities.
void stage_label(const Labels& labels, std::int64_t row, int num_classes, float* out);

/// The class that a label of `row` names: its number, or the first of its largest probabilities.
int label_class(const Labels& labels, std::int64_t row, int num_classes);

}  // namespace mpsmnist
