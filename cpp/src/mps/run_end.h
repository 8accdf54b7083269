// How one run of a program ended, put together from what several handlers report. Plain C++.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "mps/counters.h"

namespace mpsmnist::mps {

/// Nothing if the run completed, otherwise why it failed.
using RunFailure = std::optional<std::string>;

/// MPSGraph may commit several root command buffers for one run, and all of them must be free of errors. Those between
/// the first and the last are out of reach, so MPSGraph's own handler, which is given the run's NSError, reports too
/// when a run was split.
/// Reports come from any thread in any order, some of them before the run is all encoded.
class RunEnd {
 public:
  enum Reporter : unsigned { kFirstRoot = 1, kLastRoot = 2, kGraph = 4 };

  struct Report {
    RunFailure failure;
    double gpu_start = 0;  ///< seconds; 0 if the GPU has not started it, or for MPSGraph's
    double gpu_end = 0;
  };

  explicit RunEnd(std::shared_ptr<Counters> counters) : counters_(std::move(counters)) {}

  /// Only a reporter's first report counts.
  void report(Reporter reporter, Report report) noexcept;

  /// Before the last root is committed. `done` is called exactly once: when all `reporters` have reported, or by
  /// fail().
  void start(unsigned reporters, std::int64_t command_buffers, std::function<void(RunFailure)> done);
  /// Ends the run without the reports that are missing.
  void fail(std::string reason) noexcept;

 private:
  void finish(std::unique_lock<std::mutex> lock) noexcept;

  const std::shared_ptr<Counters> counters_;
  std::mutex mutex_;
  unsigned reported_ = 0;
  unsigned expected_ = 0;
  std::int64_t command_buffers_ = 0;
  Report total_;  // the first failure, the earliest start and the latest end
  std::function<void(RunFailure)> done_;
};

}  // namespace mpsmnist::mps
