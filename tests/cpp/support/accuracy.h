// How far a float32 result may be from the truth, and how far the kernels' results are.
//
// u = 2^-24 is the unit roundoff. A sum of K products, added up in any order, errs by sum_k d_k s_k: s_k are its
// partial sums and products, and |d_k| <= u (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed.,
// section 3.1). The bound that always holds, K u |x|.|y|, is so wide for K = 3136 that half precision would pass. So
// the limits here are statistical:
//   - Rounding errors behave as independent random variables of mean zero, so that K becomes sqrt(K) (Higham and Mary,
//     "A New Approach to Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41, 2019). Uniform in [-u, u] at
//     the most, they have a mean square of u^2 / 3 at the most.
//   - In every test the signs of one factor are random, and so are those of the products t_k: the mean square of a
//     partial sum is at most T^2 = sum_k t_k^2, which is the same sum over the squares of its operands.
// If no term goes through more than R roundings, the mean square of the error of one sum is at most R u^2 T^2 / 3.
//
// A plain float loop errs by half of that root, since its partial sums grow only slowly to T; kernels, with many
// partial sums side by side, by less. Operands rounded to half precision err by 2^-11 / 3 of T: a hundred times as
// much.
#pragma once

#include <string>
#include <vector>

namespace mpsmnist::test {

/// The root mean square error, at most, of sums whose terms go through `roundings` roundings, where `squares` is the
/// sum of the squares of all terms of these sums.
double expected_error(double roundings, double squares);

/// What a single such sum may be off by. Of normal errors one in 500 million is larger.
double limit_of_one(double roundings, double squares);

/// What `count` such sums may be off by together, in the Euclidean norm. The relative deviation of a sum of `count`
/// squares is sqrt(2 / count) for normal errors; six of them are allowed for.
double limit_of_norm(double roundings, double squares, std::size_t count);

/// A result that is to be as accurate as its sums allow.
struct Accuracy {
  std::string kernel;  ///< its name in the table
  const std::vector<float>& result;
  const std::vector<float>& scalar;  ///< the same by a plain float loop, which must meet the limit too
  const std::vector<double>& exact;
  double roundings;
  double squares;
};

/// Checks the norms of the errors, and keeps the worst of each kernel for the table.
void check_accuracy(const char* instruction_set, const Accuracy& accuracy);

/// Prints the worst errors and limits, relative to the norm of the truth, if any were checked.
void print_accuracy_table();

}  // namespace mpsmnist::test
