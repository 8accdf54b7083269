#include "step_outcome.h"

#include <utility>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist::detail {

void StepOutcome::complete(float loss) noexcept {
  {
    const std::lock_guard lock(mutex_);
    loss_ = loss;
    state_ = State::kCompleted;
  }
  changed_.notify_all();
}

void StepOutcome::fail(std::string reason) noexcept {
  {
    const std::lock_guard lock(mutex_);
    reason_ = std::move(reason);
    state_ = State::kFailed;
  }
  changed_.notify_all();
}

bool StepOutcome::done() const noexcept {
  const std::lock_guard lock(mutex_);
  return state_ != State::kPending;
}

float StepOutcome::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return state_ != State::kPending; });
  if (state_ == State::kFailed) {
    reported_ = true;
    throw DeviceError(reason_);
  }
  return loss_;
}

bool StepOutcome::wait_succeeded() noexcept {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return state_ != State::kPending; });
  return state_ == State::kCompleted;
}

bool StepOutcome::failed_unreported() const noexcept {
  const std::lock_guard lock(mutex_);
  return state_ == State::kFailed && !reported_;
}

}  // namespace mpsmnist::detail
