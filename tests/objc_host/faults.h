// Faults that the environment plants, for processes that no test can reach with ctypes: the doctor's children.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "graph.h"

namespace objc_host {

/// Before a graph with these feeds is compiled: "abort-in-compile=N" aborts, "exception=N" makes its first run throw.
void plant_in_compile(const std::vector<Shape>& feeds, std::size_t targets);

/// Before an executable with these feeds runs: "hang=N" never returns, "leak=BYTES" loses memory.
void plant_in_run(const std::vector<Shape>& feeds, std::size_t targets);

/// After a gradient op of n images: "wrong-gradient=N" changes the gradient of a convolution's weights, "double-ties"
/// that of a pooling, where its source has equal maxima.
void plant_in_gradient(Op op, std::int64_t n, const Shape& source_shape, const float* source, float* gradient);

/// Whether a run reads what an earlier one in flight has not yet written: "stale-weights-in-flight".
bool reads_too_early();

}  // namespace objc_host
