// The kernels of the CPU engine: what each computes, and the table by which one is chosen. layout.h has the layouts.
//
// Every kernel does one task of one phase of the step on the calling thread. Tasks of a phase are independent and each
// number is computed by one task in one fixed order, so results do not depend on which thread runs what, or on how many
// there are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/layout.h"

namespace mpsmnist::cpu {

/// Images that one call of conv1_forward and conv1_data_gradient may take.
inline constexpr int kMaxBlock = 2;
/// Floats of scratch that a kernel may need.
inline constexpr std::size_t kScratchFloats = 256 * 1024;

/// Floats of conv1's transformed weights for one direction. Up to four cache lines for each frequency keep frequencies
/// off powers of two, which would put what one transform writes, a vector for each, into a single cache set.
inline constexpr int kTransformedFloats = kFrequencies * (kConv0Channels * kConv1Channels + 4 * kLine);
/// conv1_transform_weights transforms the filters in this many independent parts.
inline constexpr int kConv1Parts = 16;

/// conv0's weight gradient of some images, before the reduction: [32][5][8] with three unused columns, then the biases.
inline constexpr int kConv0PartialRow = 8;
inline constexpr int kConv0PartialBias = kConv0Channels * kKernelSide * kConv0PartialRow;
inline constexpr int kConv0Partial = kConv0PartialBias + kConv0Channels;

/// fc0_backward, its halves and fc0_update take this many rows of the weights (inputs of the layer) at a time.
inline constexpr int kFc0Rows = 32;
inline constexpr int kFc0RowTasks = kFlat / kFc0Rows;
static_assert(kFlat % kFc0Rows == 0);
/// fc0_forward takes this many images at a time; the last group may have one.
inline constexpr int kFc0Group = 2;

/// Images first..last-1 of a batch of n.
struct ImageRange {
  std::int64_t n = 0;
  std::int64_t first = 0;
  std::int64_t last = 0;
};

/// Output channels first..last-1.
struct ChannelRange {
  int first = 0;
  int last = 0;
};

/// The parameters of a layer.
struct Layer {
  const float* weight = nullptr;
  const float* bias = nullptr;
};

/// conv1's weights twice: transformed, and as they are for decisions that are too close for the transformed ones.
struct Conv1Layer {
  const float* transformed = nullptr;  ///< kTransformedFloats
  const float* weight = nullptr;       ///< [64][2][25][16]
  const float* bias = nullptr;         ///< [64]
};

/// What a convolution's forward pass leaves.
struct Pooled {
  float* values = nullptr;
  std::uint8_t* codes = nullptr;
};

/// The gradient of the above; values of dead cells may be anything.
struct PooledGradient {
  const float* values = nullptr;
  const std::uint8_t* codes = nullptr;
};

/// The inputs of fc0 that are not zero for some image of a group, cell by cell (49): which of the cell's 64 channels,
/// ascending, and the values of the group's images side by side.
struct ActiveInputs {
  std::uint8_t* channels = nullptr;  ///< [groups][49][64], the first counts[..] of each 64
  std::uint8_t* counts = nullptr;    ///< [groups][49]
  float* values = nullptr;           ///< [groups][49][64][kFc0Group]
};

/// fc0's output and its gradient, the one before ReLU.
struct Hidden {
  const float* values = nullptr;    ///< [16][n][64]
  const float* gradient = nullptr;  ///< [16][n][64]
};

/// The gradient of the logits.
struct LogitGradient {
  const float* values = nullptr;  ///< (n, C)
  int num_classes = 0;            ///< C
};

/// Where the gradient of a tensor goes. Either it is stored, or it updates the weights at once:
/// v <- momentum*v + g; w <- w - learning_rate*v.
struct Sink {
  float* gradient = nullptr;  ///< not null: store here, and touch nothing else
  float* weight = nullptr;
  float* velocity = nullptr;  ///< null when momentum is 0
  float learning_rate = 0;
  float momentum = 0;
};

struct LayerSink {
  Sink weight;
  Sink bias;
};

/// What fc0_backward reads and writes. fc0_data_gradient, its first half, leaves the sink alone, and
/// fc0_weight_gradient, the other, the gradient of the inputs.
struct Fc0Backward {
  std::int64_t n = 0;
  const float* pooled = nullptr;           ///< [n][3136]
  const float* weight = nullptr;           ///< [16][3136][64]
  const float* hidden_gradient = nullptr;  ///< [16][n][64]
  float* pooled_gradient = nullptr;        ///< [n][3136]; written where pooled is not zero
  float* scratch = nullptr;                ///< kScratchFloats
  Sink sink;                               ///< of the weights; a stored gradient is in the flat order, (3136,1024)
};

// Each kernel's type: the table below, the kernels' declarations (kernel_functions.h) and so their definitions agree.

/// One image (28,28) -> its planes [2][19][19][16] (borders untouched) and codes [196][32].
using Conv0Forward = void(const float* image, const Layer& layer, const Pooled& planes);
/// Adds one image's gradient to partial (kConv0Partial), given the gradient of pool0's output, [196][32].
using Conv0WeightGradient = void(const float* image, const PooledGradient& pooled, float* partial);
/// Sums `count` partial gradients in order.
using Conv0Reduce = void(const float* partials, std::int64_t count, const LayerSink& sink);

/// Transforms one of kConv1Parts parts of the filters [64][2][25][16] to their 81 frequencies, for conv1_forward and
/// for conv1_data_gradient, kTransformedFloats each; only those two know the order.
using Conv1TransformWeights = void(const float* weight, int part, float* forward, float* backward);
/// Planes of images <= kMaxBlock -> values and codes [images][49][64].
using Conv1Forward = void(const float* planes, int images, const Conv1Layer& layer, float* scratch,
                          const Pooled& pooled);
/// Gradient of pool1's output [images][49][64], images <= kMaxBlock -> gradient of pool0's output [images][196][32].
using Conv1DataGradient = void(const PooledGradient& pooled, int images, const float* transformed, float* scratch,
                               float* gradient);
/// Gradients of the weights [64][2][25][16] and biases [64] of some output channels, over n images.
using Conv1WeightGradient = void(const float* planes, const PooledGradient& pooled, std::int64_t n,
                                 ChannelRange channels, float* scratch, const LayerSink& sink);

/// Lists the active inputs of a group: of `images` images, of which `pooled` [images][3136] is the first.
using Fc0ListActive = void(const float* pooled, int images, std::int64_t group, const ActiveInputs& active);
/// One panel of hidden = relu(pooled * W + b). The range begins and ends where groups do, or ends at n.
using Fc0Forward = void(const ActiveInputs& active, const Layer& layer, const ImageRange& images, int panel,
                        float* hidden);
/// Rows row..row+kFc0Rows-1: their gradient, and that of their inputs, or one of the two. `next_row` is where this
/// thread will probably continue; those rows are only prefetched.
using Fc0BackwardRows = void(const Fc0Backward& layer, int row, int next_row);
/// Updates rows row..row+kFc0Rows-1 of the weights from their gradient in the flat order, (3136,1024).
using Fc0Update = void(const float* gradient, int row, const Sink& sink);

/// Logits (n,C) of some images.
using Fc1Forward = void(const float* hidden, const Layer& layer, const ImageRange& images, int num_classes,
                        float* logits);
/// Gradient of hidden before its ReLU, for some images.
using Fc1DataGradient = void(const LogitGradient& logits, const float* weight, const float* hidden,
                             const ImageRange& images, float* hidden_gradient);
/// One panel of the gradients of fc1's weights and fc0's bias, over n images; panel 0 also takes fc1's bias.
using Fc1WeightGradient = void(const LogitGradient& logits, const Hidden& hidden, std::int64_t n, int panel,
                               const LayerSink& sink, const Sink& fc0_bias);

/// Updates count weights from a stored gradient.
using Update = void(const float* gradient, std::size_t count, const Sink& sink);
/// Whether none of count floats is NaN or infinite.
using AllFinite = bool(const float* values, std::size_t count);

/// The kernels of one instruction set.
struct Kernels {
  const char* isa;
  Conv0Forward* conv0_forward;
  Conv0WeightGradient* conv0_weight_gradient;
  Conv0Reduce* conv0_reduce;
  Conv1TransformWeights* conv1_transform_weights;
  Conv1Forward* conv1_forward;
  Conv1DataGradient* conv1_data_gradient;
  Conv1WeightGradient* conv1_weight_gradient;
  Fc0ListActive* fc0_list_active;
  Fc0Forward* fc0_forward;
  Fc0BackwardRows* fc0_backward;
  Fc0BackwardRows* fc0_data_gradient;
  Fc0BackwardRows* fc0_weight_gradient;
  Fc0Update* fc0_update;
  Fc1Forward* fc1_forward;
  Fc1DataGradient* fc1_data_gradient;
  Fc1WeightGradient* fc1_weight_gradient;
  Update* update;
  AllFinite* all_finite;
};

}  // namespace mpsmnist::cpu
