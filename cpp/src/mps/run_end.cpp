#include "mps/run_end.h"

#include <algorithm>
#include <utility>

namespace mpsmnist::mps {

void RunEnd::report(Reporter reporter, Report report) noexcept {
  std::unique_lock lock(mutex_);
  if ((reported_ & reporter) != 0) return;
  reported_ |= reporter;
  if (!total_.failure) total_.failure = std::move(report.failure);
  if (report.gpu_start > 0 && (total_.gpu_start == 0 || report.gpu_start < total_.gpu_start)) {
    total_.gpu_start = report.gpu_start;
  }
  total_.gpu_end = std::max(total_.gpu_end, report.gpu_end);
  if (done_ && (reported_ & expected_) == expected_) finish(std::move(lock));
}

void RunEnd::start(unsigned reporters, std::int64_t command_buffers, std::function<void(RunFailure)> done) {
  const std::lock_guard lock(mutex_);
  expected_ = reporters;
  command_buffers_ = command_buffers;
  done_ = std::move(done);
}

void RunEnd::fail(std::string reason) noexcept {
  std::unique_lock lock(mutex_);
  total_.failure = std::move(reason);
  if (done_) finish(std::move(lock));
}

/// Counts before it tells anybody, so that whoever waited for the run finds it counted.
void RunEnd::finish(std::unique_lock<std::mutex> lock) noexcept {
  const std::function<void(RunFailure)> done = std::exchange(done_, nullptr);
  counters_->ran(!total_.failure, command_buffers_, std::max(total_.gpu_end - total_.gpu_start, 0.0));
  lock.unlock();
  done(std::move(total_.failure));
}

}  // namespace mpsmnist::mps
