// The kernels of the CPU engine: what each computes, on which layouts, and the table by which one is chosen.
//
// Every kernel does one task of one phase of the step on the calling thread. Tasks of a phase are independent and each
// number is computed by one task in one fixed order, so results do not depend on which thread runs what, or on how many
// there are.
//
// Layouts, chosen so that the innermost loops read and write whole contiguous vectors:
//   planes   [n][2][19][19][16]  pool0's output: channels in two halves, each with a border of 2 (and 1 more below and
//                                to the right, where the last Winograd tiles reach). Half a plane (23 KB) stays in L1.
//   codes    [..][channels]      which of a 2x2 window won, in row-major order 0..3; kDead if ReLU let nothing through
//   pooled   [n][3136]           pool1's output in NHWC order: the input of fc0
//   hidden   [16][n][64]         fc0's output in panels of 64 columns, also its gradient
// and of the weights:
//   conv0    [25][32]            as in the flat order
//   conv1    [64][2][25][16]     output channel, half of the input channels, tap, input channel
//   fc0      [16][3136][64]      panels of 64 columns
//   fc1      [C][1024]           transposed
#pragma once

#include <cstddef>
#include <cstdint>

#include "model.h"

namespace mpsmnist::cpu {

inline constexpr int kLine = 16;  // floats in a cache line

inline constexpr int kTaps = kKernelSide * kKernelSide;
inline constexpr int kHalf = 16;  // input channels of conv1 in half a plane
inline constexpr int kPlaneSide = 19;
inline constexpr int kPlaneBorder = 2;
inline constexpr int kHalfPlane = kPlaneSide * kPlaneSide * kHalf;
inline constexpr int kPlane = 2 * kHalfPlane;
inline constexpr int kPool0Cells = kPool0Side * kPool0Side;
inline constexpr int kPool0Size = kPool0Cells * kConv0Channels;
inline constexpr int kPool1Cells = kPool1Side * kPool1Side;
inline constexpr int kConv1Filter = kTaps * kConv0Channels;
inline constexpr int kPanel = 64;
inline constexpr int kPanels = kHidden / kPanel;
inline constexpr std::uint8_t kDead = 4;

// Winograd F(5x5, 5x5): 9 tiles of 5x5 outputs cover 14x14, and each takes a 9x9 input to 81 "frequencies".
inline constexpr int kTilesPerImage = 9;
inline constexpr int kFrequencies = 81;
/// Floats of the transformed weights of one direction, up to four cache lines for each frequency included that keep
/// frequencies off powers of two, which would put what one transform writes, a vector for each, into a single cache
/// set.
inline constexpr int kTransformedFloats = kFrequencies * (kConv0Channels * kConv1Channels + 4 * kLine);
/// conv1_transform_weights transforms the filters in this many independent parts.
inline constexpr int kConv1Parts = 16;
/// Images that one call of conv1_forward and conv1_data_gradient may take.
inline constexpr int kMaxBlock = 2;
/// Floats of scratch that a kernel may need.
inline constexpr std::size_t kScratchFloats = 256 * 1024;

/// conv0's weight gradient of some images, before the reduction: [32][5][8] with three unused columns, then the biases.
inline constexpr int kConv0PartialRow = 8;
inline constexpr int kConv0PartialBias = kConv0Channels * kKernelSide * kConv0PartialRow;
inline constexpr int kConv0Partial = kConv0PartialBias + kConv0Channels;

/// fc0_backward takes this many rows of the weights (inputs of the layer) at a time.
inline constexpr int kFc0Rows = 32;
inline constexpr int kFc0RowTasks = kFlat / kFc0Rows;
static_assert(kFlat % kFc0Rows == 0);

/// fc0_forward takes this many images at a time; the last group may have one.
inline constexpr int kFc0Group = 2;

/// The inputs of fc0 that are not zero for some image of a group, cell by cell (49): which of the cell's 64 channels,
/// ascending, and the values of the group's images side by side.
struct ActiveInputs {
  std::uint8_t* channels = nullptr;  ///< [groups][49][64], the first counts[..] of each 64
  std::uint8_t* counts = nullptr;    ///< [groups][49]
  float* values = nullptr;           ///< [groups][49][64][kFc0Group]
};

/// Where a gradient goes. Either it is stored, or it updates the weights at once:
/// v <- momentum*v + g; w <- w - learning_rate*v.
struct Sink {
  float* gradient = nullptr;  ///< not null: store here, and touch nothing else
  float* weight = nullptr;
  float* velocity = nullptr;  ///< null when momentum is 0
  float learning_rate = 0;
  float momentum = 0;
};

struct Kernels {
  const char* isa;

  /// One image (28,28) -> its planes (borders untouched) and codes [196][32].
  void (*conv0_forward)(const float* image, const float* weight, const float* bias, float* planes, std::uint8_t* codes);
  /// Adds one image's gradient to partial (kConv0Partial), given the gradient of pool0's output [196][32].
  void (*conv0_weight_gradient)(const float* image, const float* pooled_gradient, const std::uint8_t* codes,
                                float* partial);
  /// Sums the partial gradients in order into the sinks of conv0's weight and bias.
  void (*conv0_reduce)(const float* partials, std::int64_t count, const Sink& weight, const Sink& bias);

  /// Transforms one of kConv1Parts parts of the filters to their 81 frequencies, for conv1_forward and for
  /// conv1_data_gradient, kTransformedFloats each; only those two know the order.
  void (*conv1_transform_weights)(const float* weight, int part, float* forward, float* backward);
  /// images <= kMaxBlock planes -> pooled [images][3136], codes [images][3136]. The filters are given twice:
  /// transformed, and as they are for decisions that are too close for the transformed ones.
  void (*conv1_forward)(const float* planes, int images, const float* transformed, const float* weight,
                        const float* bias, float* scratch, float* pooled, std::uint8_t* codes);
  /// Gradient of pooled (dead cells hold anything) -> gradient of pool0's output [images][196][32].
  void (*conv1_data_gradient)(const float* pooled_gradient, const std::uint8_t* codes, int images,
                              const float* transformed, float* scratch, float* gradient);
  /// Gradients of the weights [64][800] and biases [64] of output channels first..last-1, over n images.
  void (*conv1_weight_gradient)(const float* planes, const float* pooled_gradient, const std::uint8_t* codes,
                                std::int64_t n, int first, int last, float* scratch, const Sink& weight,
                                const Sink& bias);

  /// Lists the active inputs of a group: of `images` images, of which `pooled` is the first.
  void (*fc0_list_active)(const float* pooled, int images, std::int64_t group, const ActiveInputs& active);
  /// One panel of hidden = relu(pooled * W + b), for the groups first..last-1.
  void (*fc0_forward)(const ActiveInputs& active, const float* weight, const float* bias, std::int64_t n, int panel,
                      std::int64_t first, std::int64_t last, float* hidden);
  /// Rows row..row+kFc0Rows-1: the gradient of pooled (where it is not zero), and the weight gradient into the sink.
  /// A gradient that is stored goes to its place in the flat order, (3136,1024).
  /// `next_row` is where this thread is likely to go on; it only fetches from there.
  void (*fc0_backward)(const float* pooled, const float* weight, const float* hidden_gradient, std::int64_t n, int row,
                       int next_row, float* scratch, float* pooled_gradient, const Sink& sink);

  /// Logits [.., C] of the images first..last-1.
  void (*fc1_forward)(const float* hidden, const float* weight, const float* bias, std::int64_t n, int num_classes,
                      std::int64_t first, std::int64_t last, float* logits);
  /// Gradient of hidden before its ReLU, for the images first..last-1.
  void (*fc1_data_gradient)(const float* logit_gradient, const float* weight, const float* hidden, std::int64_t n,
                            int num_classes, std::int64_t first, std::int64_t last, float* hidden_gradient);
  /// One panel of fc1's weight gradient and of fc0's bias gradient; panel 0 also takes fc1's bias.
  void (*fc1_weight_gradient)(const float* logit_gradient, const float* hidden, const float* hidden_gradient,
                              std::int64_t n, int num_classes, int panel, const Sink& weight, const Sink& bias,
                              const Sink& fc0_bias);

  /// Updates count weights from a stored gradient.
  void (*update)(const float* gradient, std::size_t count, const Sink& sink);
  /// Updates rows row..row+kFc0Rows-1 of fc0's weights from their gradient in the flat order, (3136,1024).
  void (*fc0_update)(const float* gradient, int row, const Sink& sink);
  /// Whether none of count floats is NaN or infinite.
  bool (*all_finite)(const float* values, std::size_t count);
};

}  // namespace mpsmnist::cpu
