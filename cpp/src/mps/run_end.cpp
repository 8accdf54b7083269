#include "mps/run_end.h"

#include <algorithm>
#include <utility>

#include "finite.h"

namespace mpsmnist::mps {

void RunEnd::report(Reporter reporter, Report report) noexcept {
  std::unique_lock lock(mutex_);
  reported_ |= reporter;
  if (!total_.failure) total_.failure = std::move(report.failure);
  if (report.gpu_start > 0 && (total_.gpu_start == 0 || report.gpu_start < total_.gpu_start)) {
    total_.gpu_start = report.gpu_start;
  }
  total_.gpu_end = std::max(total_.gpu_end, report.gpu_end);
  if (done_ && (reported_ & expected_) == expected_) finish(std::move(lock));
}

void RunEnd::fail(std::string reason) noexcept {
  const std::lock_guard lock(mutex_);
  total_.failure = std::move(reason);
}

void RunEnd::await(unsigned reporters, std::int64_t command_buffers, std::function<void(RunFailure)> done) noexcept {
  std::unique_lock lock(mutex_);
  expected_ = reporters;
  command_buffers_ = command_buffers;
  done_ = std::move(done);
  if ((reported_ & expected_) == expected_) finish(std::move(lock));
}

bool RunEnd::results_are_finite() const {
  return std::all_of(results_.begin(), results_.end(), [](std::span<const float> values) {
    const auto count = static_cast<std::int64_t>(values.size());
    return first_not_finite(values.data(), count) == count;
  });
}

/// Counts before it tells anybody, so that whoever waited for the run finds it counted.
void RunEnd::finish(std::unique_lock<std::mutex> lock) noexcept {
  const std::function<void(RunFailure)> done = std::exchange(done_, nullptr);
  Report total = std::exchange(total_, {});  // later reports find no `done`, but they still write
  lock.unlock();
  if (!total.failure && command_buffers_ > 1 && !results_are_finite()) {
    total.failure = "MPSGraph split the run into " + std::to_string(command_buffers_) +
                    " command buffers, and not all that they wrote is finite: one of them may have failed unseen, or "
                    "numbers overflowed";
  }
  counters_->ran(!total.failure, command_buffers_, std::max(total.gpu_end - total.gpu_start, 0.0));
  done(std::move(total.failure));
}

}  // namespace mpsmnist::mps
