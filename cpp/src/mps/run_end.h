// How one run of a program ended, put together from what several handlers report. Plain C++.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mps/counters.h"

namespace mpsmnist::mps {

/// Nothing if the run completed, otherwise why it failed.
using RunFailure = std::optional<std::string>;

/// MPSGraph may commit several root command buffers for one run, and all of them must be free of errors. Those between
/// the first and the last are out of reach, so MPSGraph's own handler, which is given the run's NSError, reports too
/// when a run was split. Apple does not promise that it is given every root's, so what a split run has written must be
/// finite as well: a failed command buffer leaves garbage. Any split counts, as count_roots() may know of two at most.
/// Numbers that overflow are then a failure too, which they are not in a run of one root.
/// Reports come from any thread in any order, some of them before the run is all encoded.
class RunEnd {
 public:
  enum Reporter : unsigned { kFirstRoot = 1, kLastRoot = 2, kGraph = 4 };

  struct Report {
    RunFailure failure;
    double gpu_start = 0;  ///< seconds; 0 if the GPU has not started it, or for MPSGraph's
    double gpu_end = 0;
  };

  using Results = std::vector<std::span<const float>>;

  /// `results` is the memory that the run writes, which must stay until the run has ended.
  RunEnd(std::shared_ptr<Counters> counters, Results results)
      : counters_(std::move(counters)), results_(std::move(results)) {}

  /// A reporter may report more than once: until the run ends, any failure counts.
  void report(Reporter reporter, Report report) noexcept;

  /// Before await(): the run has failed, whatever is reported.
  void fail(std::string reason) noexcept;
  /// After the last root is committed. `done` is called exactly once, when all `reporters` have reported.
  void await(unsigned reporters, std::int64_t command_buffers, std::function<void(RunFailure)> done) noexcept;

 private:
  void finish(std::unique_lock<std::mutex> lock) noexcept;
  bool results_are_finite() const;

  const std::shared_ptr<Counters> counters_;
  const Results results_;
  std::mutex mutex_;
  unsigned reported_ = 0;
  unsigned expected_ = 0;
  std::int64_t command_buffers_ = 0;
  Report total_;  // the first failure, the earliest start and the latest end
  std::function<void(RunFailure)> done_;
};

}  // namespace mpsmnist::mps
