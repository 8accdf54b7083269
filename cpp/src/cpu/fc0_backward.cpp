// fc0 backward: the gradients of W (3136,1024) and of the layer's input, pooled (n,3136).
//
// Only pairs (row of W, image) whose input is not zero are visited. What that skips is exactly zero: the weight
// gradient has the factor 0, and the data gradient of a zero input ends at conv1's ReLU. Both gradients of a pair are
// computed together, since both want the same row of the hidden gradient in registers, and the row of W is updated
// before it is left: W is read once and written once.
//
// For a row and some panels, a visit of four images does, with `weight` the row of W, vector by vector:
//   dots[image] += weight . hidden_gradient[image]              the data gradient
//   sum = before + sum of input[image] * hidden_gradient[image]  the weight gradient
// The visit of the last images hands the sum on to the sink (update.h), the others keep it for the next. Where only one
// of the two gradients is wanted, the same visits leave the other out: its bits are those of both together.
//
// The kernel is limited by loads as much as by arithmetic: four images together load less than one vector for each
// multiply-add.
#include "kernel_functions.h"
#include "update.h"

namespace mpsmnist::cpu::MPSMNIST_ISA {
namespace {

// Which of the two gradients a kernel computes.
enum class Wanted { kBoth, kData, kWeight };

// Backward works on at most this many images at a time.
constexpr int kChunk = 32;
// Of these, images that are visited together: so many dot products and inputs are held in registers.
constexpr int kTogether = 4;
// Panels visited in a row: 16 KB of hidden gradients, half of a small L1. Wide registers take the rest of it too: what
// then comes from L2 costs them less than going through the lists of active images twice as often.
constexpr int panels_at_once(int images) { return images <= kChunk / 2 || kLanes == 16 ? 4 : 2; }

// The images of a chunk whose input `row` is not zero.
struct ActiveImages {
  int count;
  int images[kChunk];
  float inputs[kChunk];
};

void list_active_images(const float* pooled, int images, ActiveImages& active) {
  int count = 0;
  for (int image = 0; image < images; ++image) {
    const float input = pooled[static_cast<int64_t>(image) * kFlat];
    active.images[count] = image;
    active.inputs[count] = input;
    count += input != 0;
  }
  active.count = count;
}

constexpr int64_t kWeightStride = kPanelFloats;
constexpr int64_t kGradientStride = static_cast<int64_t>(kFc0Rows) * kPanel;

// Where a row of a panel is in the weights, in a gradient in the flat order, and in the sums of kFc0Rows rows; the
// row's part in the next panel is so many floats on.
constexpr int64_t kFlatStride = kPanel;
constexpr int64_t in_weights(int row, int panel) { return panel * kWeightStride + row * kPanel; }
constexpr int64_t in_flat_order(int row, int panel) { return int64_t{row} * kHidden + panel * kFlatStride; }
constexpr int64_t in_sums(int row, int panel) { return panel * kGradientStride + row * kPanel; }

// What becomes of the weight gradient of a row from some panel on: it is kept for the images to come, or handed to the
// sink. The stride is a constant and `emit` begins at the row, since registers are scarce where this is used.
template <Rule rule, int64_t Stride>
struct RowSink {
  Emit<rule> emit;

  MPSMNIST_INLINE void operator()(int panel, int v, Vec sum, Vec weight) const {
    emit(static_cast<size_t>(panel * Stride + v), sum, weight);
  }
};
using Keep = RowSink<Rule::kStore, kGradientStride>;

template <Rule rule>
MPSMNIST_INLINE auto row_sink(const Emit<rule>& emit, int row, int panel) {
  if constexpr (rule == Rule::kStore) {
    return RowSink<rule, kFlatStride>{emit.from(in_flat_order(row, panel))};
  } else {
    return RowSink<rule, kWeightStride>{emit.from(in_weights(row, panel))};
  }
}

// One row of W in some panels, and what belongs to it.
struct RowVisit {
  const float* weight;           // in the first of the panels, kWeightStride apart
  const float* hidden_gradient;  // of the first image of the chunk, hidden_gradient_stride apart
  int64_t hidden_gradient_stride;
  const float* before;  // the row of the weight gradient, summed so far, before_stride apart
  int64_t before_stride;
  int panels;
};

template <Wanted wanted, int Images, typename End>
MPSMNIST_INLINE void visit_vector(const float* weight, const float* const* from, int panel, int v, const Vec* input,
                                  const float* before, const End& end, Vec* dot) {
  const Vec row = in_register(load(weight + v));
  Vec sum = {};
  if constexpr (wanted != Wanted::kData) sum = load(before + v);
  for (int i = 0; i < Images; ++i) {
    const Vec value = in_register(load(from[i] + v));
    if constexpr (wanted != Wanted::kWeight) dot[i] += row * value;
    if constexpr (wanted != Wanted::kData) sum += input[i] * value;
  }
  if constexpr (wanted != Wanted::kData) end(panel, v, sum, row);
}

// One visit of the listed images, whose sums go to `end`.
template <Wanted wanted, int Images, typename End>
MPSMNIST_INLINE void visit_images(const RowVisit& visit, const int* images, const float* inputs, const End& end,
                                  float* dots) {
  Vec even[kTogether] = {};
  Vec odd[kTogether] = {};
  Vec input[kTogether];
  const float* from[kTogether];
  for (int i = 0; i < Images; ++i) {
    input[i] = splat(inputs[i]);
    from[i] = visit.hidden_gradient + images[i] * kPanel;
  }
  const float* weight = visit.weight;
  const float* before = visit.before;
  for (int panel = 0; panel < visit.panels; ++panel) {
    for (int v = 0; v < kPanel; v += 2 * kLanes) {
      visit_vector<wanted, Images>(weight, from, panel, v, input, before, end, even);
      visit_vector<wanted, Images>(weight, from, panel, v + kLanes, input, before, end, odd);
    }
    weight += kWeightStride;
    before += visit.before_stride;
    for (int i = 0; i < Images; ++i) from[i] += visit.hidden_gradient_stride;
  }
  if constexpr (wanted == Wanted::kWeight) return;
  Vec4 sums;
  memcpy(&sums, dots, sizeof sums);
  sums += sum_lanes(even[0] + odd[0], even[1] + odd[1], even[2] + odd[2], even[3] + odd[3]);
  memcpy(dots, &sums, sizeof sums);
}

// Visits the images `kTogether` at a time. The sums go to `end` in the visit of the last ones, which may be none.
template <Wanted wanted, typename End>
MPSMNIST_INLINE void visit_row(const ActiveImages& active, RowVisit visit, const Keep& keep, const End& end,
                               float* dots) {
  static_assert(kTogether == 4, "one case for each number of last images");
  int i = 0;
  for (; i + kTogether < active.count; i += kTogether) {
    visit_images<wanted, kTogether>(visit, active.images + i, active.inputs + i, keep, dots + i);
    visit.before = keep.emit.sink.gradient;
    visit.before_stride = kGradientStride;
  }
  switch (active.count - i) {
    case 4:
      return visit_images<wanted, 4>(visit, active.images + i, active.inputs + i, end, dots + i);
    case 3:
      return visit_images<wanted, 3>(visit, active.images + i, active.inputs + i, end, dots + i);
    case 2:
      return visit_images<wanted, 2>(visit, active.images + i, active.inputs + i, end, dots + i);
    case 1:
      return visit_images<wanted, 1>(visit, active.images + i, active.inputs + i, end, dots + i);
    default:
      return visit_images<wanted, 0>(visit, active.images + i, active.inputs + i, end, dots + i);
  }
}

// Fetches a row of some panels, to be written.
MPSMNIST_INLINE void prefetch_row(const float* weight, int panels) {
  for (int p = 0; p < panels; ++p) {
    for (int i = 0; i < kPanel; i += kLine) __builtin_prefetch(weight + p * kWeightStride + i, 1, 2);
  }
}

// Scratch and weights are aligned to pages. Half a page apart, a load of weights does not alias a recent store to the
// sums: with the same low 12 bits of address, it would wait for that store.
constexpr int kHalfPage = 4096 / 2 / sizeof(float);

alignas(64) constexpr float kZeros[kPanel] = {};

// What is known of a chunk, row by row. In scratch, behind the sums.
struct RowStates {
  ActiveImages active[kFc0Rows];
  float dots[kFc0Rows][kChunk + kTogether];
};
constexpr int64_t kRowStates = kHalfPage + kPanels * kGradientStride;
static_assert(kRowStates + kLine + sizeof(RowStates) / sizeof(float) <= kScratchFloats);

template <Wanted wanted>
MPSMNIST_INLINE void backward(const Fc0Backward& layer, int row, int next_row) {
  const int64_t n = layer.n;
  auto& [active, dots] = *in_scratch<RowStates>(layer.scratch + kRowStates);
  // The sums of the weight gradient [panels][rows][64], from chunk to chunk.
  const Emit<Rule::kStore> sums{{.gradient = layer.scratch + kHalfPage}};
  for (int64_t first = 0; first < n; first += kChunk) {
    const int images = static_cast<int>(n - first < kChunk ? n - first : kChunk);
    const float* pooled = layer.pooled + first * kFlat + row;
    for (int r = 0; r < kFc0Rows; ++r) list_active_images(pooled + r, images, active[r]);
    memset(dots, 0, sizeof dots);
    const int panels = panels_at_once(images);
    for (int panel = 0; panel < kPanels; panel += panels) {
      for (int r = 0; r < kFc0Rows; ++r) {
        // The same row of the next panels is a long way off, and so are the rows of the next call.
        const int next_panel = panel + panels;
        const int64_t next = next_panel < kPanels ? in_weights(row + r, next_panel) : in_weights(next_row + r, 0);
        prefetch_row(layer.weight + next, panels);
        const Keep keep{sums.from(in_sums(r, panel))};
        const RowVisit visit{.weight = layer.weight + in_weights(row + r, panel),
                             .hidden_gradient = layer.hidden_gradient + (panel * n + first) * kPanel,
                             .hidden_gradient_stride = n * kPanel,
                             .before = first == 0 ? kZeros : keep.emit.sink.gradient,
                             .before_stride = first == 0 ? 0 : kGradientStride,
                             .panels = panels};
        if (wanted == Wanted::kData || first + kChunk < n) {
          visit_row<wanted>(active[r], visit, keep, keep, dots[r]);
        } else {
          // Called instead of inlined, this would take everything from memory again: 15 % slower with 16 registers.
          with_rule(layer.sink, [&]<Rule rule>(const Emit<rule>& emit) __attribute__((always_inline)) {
            visit_row<wanted>(active[r], visit, keep, row_sink(emit, row + r, panel), dots[r]);
          });
        }
      }
    }
    if constexpr (wanted == Wanted::kWeight) continue;
    for (int r = 0; r < kFc0Rows; ++r) {
      for (int i = 0; i < active[r].count; ++i) {
        layer.pooled_gradient[(first + active[r].images[i]) * kFlat + row + r] = dots[r][i];
      }
    }
  }
}

}  // namespace

void fc0_backward(const Fc0Backward& layer, int row, int next_row) { backward<Wanted::kBoth>(layer, row, next_row); }

void fc0_data_gradient(const Fc0Backward& layer, int row, int next_row) {
  backward<Wanted::kData>(layer, row, next_row);
}

void fc0_weight_gradient(const Fc0Backward& layer, int row, int next_row) {
  backward<Wanted::kWeight>(layer, row, next_row);
}

void fc0_update(const float* gradient, int row, const Sink& sink) {
  for (int panel = 0; panel < kPanels; ++panel) {
    for (int r = row; r < row + kFc0Rows; ++r) {
      const int64_t from = in_flat_order(r, panel);
      const auto to = static_cast<size_t>(in_weights(r, panel));
      for (size_t v = 0; v < kPanel; v += kLanes) emit(sink, to + v, load(gradient + from + static_cast<int64_t>(v)));
    }
  }
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
