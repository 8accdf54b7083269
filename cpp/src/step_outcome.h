// The one-shot result of a step: an engine fills it from any thread, others wait for it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>

namespace mpsmnist::detail {

class StepOutcome {
 public:
  /// Called once by the engine: either of these.
  void complete(float loss) noexcept;
  void fail(std::string reason) noexcept;

  bool done() const noexcept;
  /// Waits; the loss, or DeviceError with the reason, which counts as reported from then on.
  float wait();
  /// Waits without throwing; true if the step completed.
  bool wait_succeeded() noexcept;
  /// Whether the step failed and wait() has not told anybody yet.
  bool failed_unreported() const noexcept;

 private:
  enum class State { kPending, kCompleted, kFailed };
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kPending;
  bool reported_ = false;
  float loss_ = 0;
  std::string reason_;
};

}  // namespace mpsmnist::detail
