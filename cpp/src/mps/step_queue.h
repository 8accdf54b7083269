// The order of the training steps in flight, and which parameter set each of them reads and writes. Plain C++.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "step_outcome.h"

namespace mpsmnist::mps {

/// Turns the ends of steps, which come from any thread in any order, into outcomes, which come in order of begin().
///
/// Each step reads one parameter set and writes another. Two sets would do for one step in flight, but not for two:
/// step k reads A and writes B, step k+1 reads B and would write A, so that if k failed while k+1 ran, the last
/// completed weights, A, would be gone. With three, k+1 writes C. The next to write A is k+2, which begins only after k
/// has ended (Engine::kSlots is 2): then either k completed, and B holds the last completed weights, or it failed, and
/// k+2 is not sent to the GPU at all. So no step in flight ever writes the last completed set.
class StepQueue {
 public:
  static constexpr int kSets = 3;

  struct Sets {
    int read;
    int write;
  };
  using Ticket = std::uint64_t;

  /// How a step ended: with its loss, or with the reason of its failure.
  struct End {
    std::optional<std::string> failure;
    float loss = 0;
  };

  /// The sets of the step that begins next.
  Sets next_sets() const;
  /// The set with the weights of the last completed step.
  int completed_set() const;
  /// Whether a step failed since the last recover(): later ones read what it should have written, so they fail too.
  bool failed() const;

  /// What the next begin() returns.
  Ticket next_ticket() const;
  /// Enters a step that uses next_sets(). Every ticket must be given to finish() once.
  Ticket begin(std::shared_ptr<detail::StepOutcome> outcome);
  /// Notes how a step ended and passes on the outcomes that are due, from the oldest step on. From any thread.
  void finish(Ticket ticket, End end) noexcept;

  /// Continues from completed_set(). Only with nothing in flight.
  void recover() noexcept;
  /// Waits until every step begun has ended.
  void drain() noexcept;

 private:
  struct Step {
    std::shared_ptr<detail::StepOutcome> outcome;
    int write_set;
    std::optional<End> end;
  };

  void resolve(const Step& step);

  mutable std::mutex mutex_;
  std::condition_variable drained_;
  std::deque<Step> steps_;  // the oldest first
  Ticket oldest_ = 0;       // the ticket of steps_.front()
  int next_read_ = 0;
  int completed_ = 0;
  std::optional<std::string> failure_;
};

}  // namespace mpsmnist::mps
