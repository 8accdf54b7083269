#include "session.h"

#include <algorithm>
#include <utility>

namespace mpsmnist {

using detail::StepOutcome;

float Session::step(int slot, float learning_rate) {
  try {
    const float loss = engine_->step(slot, learning_rate);
    ++steps_;
    return loss;
  } catch (...) {
    engine_->recover();
    throw;
  }
}

std::shared_ptr<StepOutcome> Session::begin(int slot, float learning_rate, Steps* ended) {
  auto outcome = std::make_shared<StepOutcome>();
  in_flight_.push_back({outcome, ended});
  try {
    engine_->begin_step(slot, learning_rate, outcome);
  } catch (...) {
    in_flight_.pop_back();
    throw;
  }
  next_slot_ = (slot + 1) % Engine::kSlots;
  return outcome;
}

void Session::finish_oldest() {
  if (!in_flight_.front().outcome->wait_succeeded()) return drain();
  retire_oldest();
}

/// Waits for the oldest step in flight and takes it out; returns whether it completed.
bool Session::retire_oldest() noexcept {
  Step& step = in_flight_.front();
  const bool completed = step.outcome->wait_succeeded();
  if (completed) step.number = ++steps_;
  if (step.ended != nullptr) {
    step.ended->splice(step.ended->end(), in_flight_, in_flight_.begin());
  } else {
    in_flight_.pop_front();
  }
  return completed;
}

void Session::drain() {
  const auto unreported = wait_for_all();
  if (unreported != nullptr) unreported->wait();
}

std::shared_ptr<StepOutcome> Session::wait_for_all() noexcept {
  std::shared_ptr<StepOutcome> unreported;
  bool failed = false;
  while (!in_flight_.empty()) {
    const auto outcome = in_flight_.front().outcome;
    if (retire_oldest()) continue;
    failed = true;
    if (unreported == nullptr && outcome->failed_unreported()) unreported = outcome;
  }
  if (failed) engine_->recover();
  return unreported;
}

bool Session::lost_steps() const noexcept {
  return std::any_of(in_flight_.begin(), in_flight_.end(), [](const Step& s) { return s.outcome->lost_in_fork(); });
}

}  // namespace mpsmnist
