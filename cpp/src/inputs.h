// What callers hand in: checked whole before anything changes, then staged as floats for an engine.
//
// Callbacks and other threads may change it after the check. So indices and labels are checked again where they are
// staged, as the values that are then used: what a caller writes meanwhile is an error or is trained on, and never
// leads outside of an array. Pixels and probabilities need no second check, as any float is safe to compute with.
#pragma once

#include <cstdint>
#include <vector>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

/// A caller's value, in one read that the compiler may not repeat: what is checked is what is used.
template <typename T>
T read_once(const T* value) {
  return *static_cast<const volatile T*>(value);
}

/// How far from 0 a pixel of float images may be: 1, and what bfloat16, the coarsest of the usual types, rounds it to.
inline constexpr float kMaxPixel = 1 + 0x1p-7F;

/// Throws ArgumentError unless so many CPU threads can be asked for; 0 stands for the cores that this process may use.
void check_threads(std::int64_t threads);
/// Throws ArgumentError if there are no images, and ScaleError unless they are `standardized` if all are nearly black
/// but not all are 0: bytes of 0 and 1, or floats of 0 to 1/255.
void check_not_dark(const Images& images, bool standardized);
/// The same; and throws ArgumentError unless there are as many labels, and every label is valid.
void check_labels(const Images& images, const Labels& labels, int num_classes, bool standardized);
/// Throws ArgumentError unless every pixel of image `row` is finite, and ScaleError unless floats are at most kMaxPixel
/// from 0 or `standardized`.
void check_image(const Images& images, std::int64_t row, bool standardized);
/// All of the above.
void check_examples(const Images& images, const Labels& labels, int num_classes, bool standardized);
/// The index of image `i` of batch `step`. Throws ArgumentError unless there is such an image.
std::int64_t batch_row(const Images& images, const Batches& batches, std::int64_t step, std::int64_t i);
/// The same for the rows that `batches` selects, whose indices must be in range.
void check_batches(const Images& images, const Labels& labels, const Batches& batches, int num_classes,
                   bool standardized);
/// Throws NotFiniteError, naming the first value that is not finite of factors (count, Factors::kColumns), unless there
/// is none.
void check_factors_finite(const float* factors, std::int64_t count);
/// Throws NotFiniteError, naming `what`, prefix + the parameter's name, and the element, unless flat (P,) is all
/// finite.
void check_finite(const char* what, const std::vector<Parameter>& parameters, const float* flat,
                  const char* prefix = "");

/// Writes image `row` to out (28, 28), bytes scaled by 1/255.
void stage_image(const Images& images, std::int64_t row, float* out);
/// Writes the label of `row` to out (C,) as probabilities. Throws ArgumentError if it is a class number out of range.
void stage_label(const Labels& labels, std::int64_t row, int num_classes, float* out);

}  // namespace mpsmnist
