// What Apple's frameworks leave open, or change from one system to the next, and the host therefore varies.
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace objc_host {

/// Where the gradient of a pooling's window goes when several elements are its maximum.
enum class PoolTies { kFirst, kLast, kShared };

/// In what shape gradientForPrimaryTensor: returns gradients. kKeptRank: what undoes a broadcast keeps the axes that it
/// sums over, with 1 element each. kUnknown: `shape` is nil, as MPSGraphTensor.h allows, until a reshape states it.
enum class GradientShapes { kStated, kKeptRank, kUnknown };

/// One choice for each of these. Made of words such as "ties=last,fast-math=absent"; README.md lists them.
class Mode {
 public:
  /// That of MPSMNIST_OBJC_HOST_MODE, or everything's default.
  static Mode of_environment();

  /// Fails on words that it does not know.
  void choose(const std::string& words);
  /// The word after "name=".
  const char* word(const std::string& name) const;

  PoolTies pool_ties() const { return static_cast<PoolTies>(chosen_[kTies]); }
  GradientShapes gradient_shapes() const { return static_cast<GradientShapes>(chosen_[kGradients]); }
  /// Whether MPSGraphCompilationDescriptor has reducedPrecisionFastMath: it came with macOS 26.
  bool has_fast_math() const { return chosen_[kFastMath] == 0; }
  /// The rank of a loss reduced to "a scalar".
  int loss_rank() const { return static_cast<int>(chosen_[kLossRank]); }

 private:
  enum Name : std::size_t { kTies, kGradients, kFastMath, kLossRank, kNames };

  static std::size_t index_of(const std::string& name);

  std::array<std::size_t, kNames> chosen_{};
};

}  // namespace objc_host
