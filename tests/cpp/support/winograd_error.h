// How much more Winograd's F(5x5, 5x5) errs than plain sums do.
#pragma once

namespace mpsmnist::test {

/// The one-dimensional transforms of cpp/src/cpu/winograd.h, from its formulas, in double: y = At [ (G w) * (Bt x) ].
struct WinogradMatrices {
  double at[5][9];
  double g[9][5];
  double bt[9][9];

  WinogradMatrices();
};

/// The root of the sum of the squares of all elementary terms of the two-dimensional algorithm, relative to that of the
/// products of the plain sums, for operands that are independent of each other.
///
/// One dimension: output i is the sum over k and j of At[i][f] G[f][k] Bt[f][j] w_k x_j over all f, 405 terms for 25
/// products w_k x_j of tap and input (i + k = j). The squares of their coefficients add up to
/// sum_f |At_f|^2 |G_f|^2 |Bt_f|^2, with the norms of a column and two rows, and those of the 25 products to 25. The
/// coefficients of two dimensions are products of these, so the ratio of the squares is squared. The gradient of the
/// inputs is the same trilinear form, read the other way: it has the same ratio.
double winograd_amplification();

/// The roundings that a term goes through, at most, when products are summed over `channels`. Each transform of one
/// dimension multiplies a term by a coefficient (which for G is itself rounded), adds it to at most four others, and
/// multiplies and adds once more: six roundings each, three transforms, two dimensions.
inline constexpr double winograd_roundings(int channels) { return channels + 2 * 3 * 6; }

}  // namespace mpsmnist::test
