// What the device has done, counted as it happens. Plain C++.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist::mps {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start_ = Clock::now();
};

/// From any thread.
class Counters {
 public:
  void compiled(double seconds) {
    const std::lock_guard lock(mutex_);
    ++totals_.compilations;
    totals_.compile_seconds += seconds;
  }

  void encoded(double seconds) {
    const std::lock_guard lock(mutex_);
    totals_.encode_seconds += seconds;
  }

  /// A run of `command_buffers` has ended.
  void ran(bool completed, std::int64_t command_buffers, double gpu_seconds) {
    const std::lock_guard lock(mutex_);
    ++totals_.runs;
    totals_.failed_runs += completed ? 0 : 1;
    totals_.command_buffers += command_buffers;
    if (completed) totals_.gpu_seconds += gpu_seconds;
  }

  Diagnostics totals() const {
    const std::lock_guard lock(mutex_);
    return totals_;
  }

 private:
  mutable std::mutex mutex_;
  Diagnostics totals_;
};

}  // namespace mpsmnist::mps
