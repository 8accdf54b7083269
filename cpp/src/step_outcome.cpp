#include "step_outcome.h"

#include <utility>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist::detail {

void StepOutcome::complete(float loss) noexcept {
  loss_ = loss;
  finish(State::kCompleted);
}

void StepOutcome::fail(std::string reason) noexcept {
  reason_ = std::move(reason);
  finish(State::kFailed);
}

void StepOutcome::finish(State state) noexcept {
  state_.store(state);
  state_.notify_all();
}

StepOutcome::State StepOutcome::end() const noexcept {
  if (!lost_in_fork()) state_.wait(State::kPending);
  return state_.load();
}

bool StepOutcome::done() const noexcept { return state_.load() != State::kPending || lost_in_fork(); }

float StepOutcome::wait() {
  const State state = end();
  if (state == State::kCompleted) return loss_;
  reported_.store(true);
  throw DeviceError(state == State::kFailed ? reason_
                                            : "the process was forked while this step was in flight: it ends in the "
                                              "parent alone");
}

bool StepOutcome::wait_succeeded() const noexcept { return end() == State::kCompleted; }

bool StepOutcome::failed_unreported() const noexcept { return state_.load() == State::kFailed && !reported_.load(); }

bool StepOutcome::lost_in_fork() const noexcept { return state_.load() == State::kPending && forks_ != fork_count(); }

}  // namespace mpsmnist::detail
