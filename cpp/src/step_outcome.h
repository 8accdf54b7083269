// The one-shot result of a step: an engine fills it from any thread, others wait for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "fork.h"

namespace mpsmnist::detail {

/// Without a mutex, so that a forked child, in which a step under way never ends, finds it in one piece.
class StepOutcome {
 public:
  /// Called once by the engine: either of these.
  void complete(float loss) noexcept;
  void fail(std::string reason) noexcept;

  bool done() const noexcept;
  /// Waits; the loss, or DeviceError with the reason, which counts as reported from then on.
  float wait();
  /// Waits without throwing; true if the step completed.
  bool wait_succeeded() const noexcept;
  /// Whether the step failed and wait() has not told anybody yet.
  bool failed_unreported() const noexcept;
  /// Whether the step was under way when this process was forked, so that it ends in the parent alone.
  bool lost_in_fork() const noexcept;

 private:
  enum class State : int { kPending, kCompleted, kFailed };
  /// kPending if the step was lost in a fork.
  State end() const noexcept;
  void finish(State state) noexcept;

  const std::uint64_t forks_ = fork_count();
  std::atomic<State> state_{State::kPending};
  std::atomic<bool> reported_{false};
  float loss_ = 0;  // this and the reason are written before the state
  std::string reason_;
};

}  // namespace mpsmnist::detail
