// Which of a pool window won: the codes, where rounding may have decided and where not.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/reference.h"
#include "support/accuracy.h"

namespace mpsmnist::test {

/// Outputs of a convolution before ReLU and pool, (rows, side, channels), in float64, with the sums of the squares of
/// their terms.
struct Unpooled {
  std::vector<double> values;
  std::vector<double> squares;
  int side;
  int channels;

  int cells() const { return static_cast<int>(values.size()) / channels / 4; }
  /// Where position 0..3 of the window of a cell is.
  std::size_t index(int cell, int position, int channel) const {
    const int y = cell / (side / 2) * 2 + position / 2;
    const int x = cell % (side / 2) * 2 + position % 2;
    return static_cast<std::size_t>((y * side + x) * channels + channel);
  }
};

/// The sum of the squares of the terms of the winners: an error of a pool's output is its winner's.
inline double squares_of_winners(const Unpooled& outputs, const std::vector<std::uint8_t>& codes) {
  double total = 0;
  for (int cell = 0; cell < outputs.cells(); ++cell) {
    for (int c = 0; c < outputs.channels; ++c) {
      const int code = codes[static_cast<std::size_t>(cell * outputs.channels + c)];
      if (code != cpu::kDead) total += outputs.squares[outputs.index(cell, code, c)];
    }
  }
  return total;
}

/// Each code must name a position that is as good as the best, which is zero where ReLU lets nothing through, but for
/// what plain sums with that many roundings may err.
inline void check_decisions(const Unpooled& outputs, const std::uint8_t* codes, double roundings) {
  int wrong = 0;
  for (int cell = 0; cell < outputs.cells(); ++cell) {
    for (int c = 0; c < outputs.channels; ++c) {
      // What ReLU puts in the place of them all is exactly zero.
      std::pair<double, double> positions[cpu::kDead + 1] = {};
      for (int i = 0; i < cpu::kDead; ++i) {
        const std::size_t at = outputs.index(cell, i, c);
        positions[i] = {outputs.values[at], limit_of_one(roundings, outputs.squares[at])};
      }
      const auto [best, error_of_best] = *std::max_element(std::begin(positions), std::end(positions));
      const int code = codes[cell * outputs.channels + c];
      if (code > cpu::kDead || positions[code].first + positions[code].second < best - error_of_best) ++wrong;
    }
  }
  CHECK_MESSAGE(wrong == 0, wrong << " cells name a position that did not win");
}

}  // namespace mpsmnist::test
