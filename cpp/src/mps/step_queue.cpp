#include "mps/step_queue.h"

#include <utility>

namespace mpsmnist::mps {

StepQueue::Sets StepQueue::next_sets() const {
  const std::lock_guard lock(mutex_);
  return {next_read_, (next_read_ + 1) % kSets};
}

int StepQueue::completed_set() const {
  const std::lock_guard lock(mutex_);
  return completed_;
}

bool StepQueue::failed() const {
  const std::lock_guard lock(mutex_);
  return failure_.has_value();
}

StepQueue::Ticket StepQueue::next_ticket() const {
  const std::lock_guard lock(mutex_);
  return oldest_ + steps_.size();
}

StepQueue::Ticket StepQueue::begin(std::shared_ptr<detail::StepOutcome> outcome) {
  const std::lock_guard lock(mutex_);
  const int write_set = (next_read_ + 1) % kSets;
  steps_.push_back({std::move(outcome), write_set, std::nullopt});
  next_read_ = write_set;
  return oldest_ + steps_.size() - 1;
}

void StepQueue::finish(Ticket ticket, End end) noexcept {
  // Outcomes are completed under the lock: outside it, two threads could complete them in the wrong order.
  const std::lock_guard lock(mutex_);
  steps_[ticket - oldest_].end = std::move(end);
  while (!steps_.empty() && steps_.front().end) {
    const Step step = std::move(steps_.front());
    steps_.pop_front();
    ++oldest_;
    resolve(step);
  }
  if (steps_.empty()) {
    drained_.notify_all();
  }
}

void StepQueue::resolve(const Step& step) {
  if (failure_) {
    step.outcome->fail("[mps step] the step before it failed: " + *failure_);
  } else if (step.end->failure) {
    failure_ = step.end->failure;
    step.outcome->fail("[mps step] " + *failure_);
  } else {
    completed_ = step.write_set;
    step.outcome->complete(step.end->loss);
  }
}

void StepQueue::recover() noexcept {
  const std::lock_guard lock(mutex_);
  failure_.reset();
  next_read_ = completed_;
}

void StepQueue::drain() noexcept {
  std::unique_lock lock(mutex_);
  drained_.wait(lock, [this] { return steps_.empty(); });
}

}  // namespace mpsmnist::mps
