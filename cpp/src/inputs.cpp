#include "inputs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "finite.h"
#include "model.h"
#include "reject.h"

namespace mpsmnist {
namespace {

/// How far a row of label probabilities may sum from 1: float16 and softmax outputs stay well inside it.
constexpr double kLabelSumTolerance = 1e-3;

void check_probabilities(const float* row_values, std::int64_t row, int num_classes) {
  double sum = 0;
  for (int c = 0; c < num_classes; ++c) {
    const float value = row_values[c];
    if (!std::isfinite(value) || value < 0) {
      reject("labels: probability ", value, " of class ", c, " in row ", row, "; expected finite values of 0 or more");
    }
    sum += value;
  }
  if (std::abs(sum - 1.0) > kLabelSumTolerance) {
    reject("labels: row ", row, " sums to ", sum, "; expected 1 (one-hot rows or probabilities)");
  }
}

/// The class number of `row`. Throws ArgumentError if it is out of range.
template <typename T>
int class_number(const T* labels, std::int64_t row, int num_classes) {
  const T label = read_once(labels + row);
  if (std::cmp_less(label, 0) || std::cmp_greater_equal(label, num_classes)) {
    reject("labels: label ", label, " at index ", row, " is out of range; expected 0 to ", num_classes - 1,
           " (num_classes=", num_classes, ")");
  }
  return static_cast<int>(label);
}

void check_label(const Labels& labels, std::int64_t row, int num_classes) {
  std::visit(
      [&](const auto* data) {
        using Value = std::remove_cv_t<std::remove_pointer_t<decltype(data)>>;
        if constexpr (std::is_same_v<Value, float>) {
          check_probabilities(data + row * num_classes, row, num_classes);
        } else {
          class_number(data, row, num_classes);
        }
      },
      labels.data);
}

void check_lengths(const Images& images, const Labels& labels) {
  if (images.count != labels.count) {
    reject("images and labels differ in length: ", images.count, " images but ", labels.count, " labels");
  }
}

/// "pixel (row, column) of image i", for the index of a pixel among those of all images.
std::string place(std::int64_t pixel) {
  const std::int64_t in_image = pixel % kImagePixels;
  return "pixel (" + std::to_string(in_image / kImageSide) + ", " + std::to_string(in_image % kImageSide) +
         ") of image " + std::to_string(pixel / kImagePixels);
}

/// Throws ScaleError if pixels are lit but none is light. Looks no further than to the first that is light: where the
/// scale is right, among the first hundreds.
template <typename Value>
void check_any_light(const Value* pixels, std::int64_t count, bool (*is_lit)(Value), bool (*is_light)(Value),
                     const char* expected) {
  const Value* const end = pixels + count;
  if (std::find_if(pixels, end, is_light) != end) return;
  const Value* const lit = std::find_if(pixels, end, is_lit);
  if (lit != end) reject<ScaleError>("images: all are nearly black: ", place(lit - pixels), " is ", *lit, expected);
}

}  // namespace

void check_finite(const char* what, const std::vector<Parameter>& parameters, const float* flat, const char* prefix) {
  for (const Parameter& parameter : parameters) {
    const float* values = flat + parameter.offset;
    const std::int64_t bad = first_not_finite(values, parameter.size);
    if (bad < parameter.size) {
      reject<NotFiniteError>(what, ": element ", bad, " of ", prefix, parameter.name, " is ", values[bad],
                             "; expected finite values");
    }
  }
}

void check_factors_finite(const float* factors, std::int64_t count) {
  const std::int64_t size = count * Factors::kColumns;
  const std::int64_t bad = first_not_finite(factors, size);
  if (bad < size) {
    reject<NotFiniteError>("gradients: element ", bad % Factors::kColumns, " of row ", bad / Factors::kColumns,
                           " from all_gather is ", factors[bad], "; expected finite values");
  }
}

void check_threads(std::int64_t threads) {
  constexpr int kMaxThreads = 1024;
  if (threads < 0 || threads > kMaxThreads) {
    reject("threads: ", threads, "; expected 1 to ", kMaxThreads, ", or 0 for the cores that this process may use");
  }
}

void check_not_dark(const Images& images, bool standardized) {
  if (images.count < 1) reject("images: the batch is empty; expected at least one image");
  if (standardized) return;
  const std::int64_t count = images.count * kImagePixels;
  if (const auto* bytes = std::get_if<const std::uint8_t*>(&images.data)) {
    check_any_light<std::uint8_t>(
        *bytes, count, [](std::uint8_t level) { return level > 0; }, [](std::uint8_t level) { return level > 1; },
        ", and none is above 1; expected bytes of 0 to 255");
  } else {
    check_any_light<float>(  // below the smallest normal float all is 0
        std::get<const float*>(images.data), count,
        [](float value) { return std::abs(value) >= std::numeric_limits<float>::min(); },
        [](float value) { return !(std::abs(value) <= kMaxPixel / 255); },
        ", and none is above 1/255; expected floats of 0 to 1");
  }
}

void check_image(const Images& images, std::int64_t row, bool standardized) {
  const auto* floats = std::get_if<const float*>(&images.data);
  if (floats == nullptr) return;  // every byte is valid
  const float* pixels = *floats + row * kImagePixels;
  const float most = standardized ? std::numeric_limits<float>::max() : kMaxPixel;
  const std::int64_t bad = first_beyond(pixels, kImagePixels, most);
  if (bad == kImagePixels) return;
  const float value = pixels[bad];
  const std::string found = "images: " + place(row * kImagePixels + bad) + " is ";
  if (!std::isfinite(value)) reject(found, value, "; expected finite values");
  reject<ScaleError>(found, value, "; expected floats of 0 to 1");
}

void check_labels(const Images& images, const Labels& labels, int num_classes, bool standardized) {
  check_lengths(images, labels);
  check_not_dark(images, standardized);
  for (std::int64_t row = 0; row < labels.count; ++row) check_label(labels, row, num_classes);
}

void check_examples(const Images& images, const Labels& labels, int num_classes, bool standardized) {
  check_labels(images, labels, num_classes, standardized);
  for (std::int64_t row = 0; row < images.count; ++row) check_image(images, row, standardized);
}

std::int64_t batch_row(const Images& images, const Batches& batches, std::int64_t step, std::int64_t i) {
  const std::int64_t row = read_once(batches.indices + step * batches.batch_size + i);
  if (row < 0 || row >= images.count) {
    reject("batches: index ", row, " at (", step, ", ", i, ") is out of range; expected 0 to ", images.count - 1, " (",
           images.count, " images)");
  }
  return row;
}

void check_batches(const Images& images, const Labels& labels, const Batches& batches, int num_classes,
                   bool standardized) {
  check_lengths(images, labels);
  check_not_dark(images, standardized);
  if (batches.batch_size < 1) reject("batches: rows are empty; expected at least one index per row");
  for (std::int64_t step = 0; step < batches.steps; ++step) {
    for (std::int64_t i = 0; i < batches.batch_size; ++i) {
      const std::int64_t row = batch_row(images, batches, step, i);
      check_image(images, row, standardized);
      check_label(labels, row, num_classes);
    }
  }
}

void stage_image(const Images& images, std::int64_t row, float* out) {
  if (const auto* floats = std::get_if<const float*>(&images.data)) {
    std::copy_n(*floats + row * kImagePixels, kImagePixels, out);
    return;
  }
  // A division, not a product with 1/255: the same floats as NumPy's x.astype(float32) / 255.
  const std::uint8_t* bytes = std::get<const std::uint8_t*>(images.data) + row * kImagePixels;
  for (int i = 0; i < kImagePixels; ++i) out[i] = static_cast<float>(bytes[i]) / 255.0F;
}

void stage_label(const Labels& labels, std::int64_t row, int num_classes, float* out) {
  std::visit(
      [&](const auto* data) {
        using Value = std::remove_cv_t<std::remove_pointer_t<decltype(data)>>;
        if constexpr (std::is_same_v<Value, float>) {
          std::copy_n(data + row * num_classes, num_classes, out);
        } else {
          const int label = class_number(data, row, num_classes);
          std::fill_n(out, num_classes, 0.0F);
          out[label] = 1.0F;
        }
      },
      labels.data);
}

}  // namespace mpsmnist
