// The steps in flight on one engine.
#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "engine.h"
#include "step_outcome.h"

namespace mpsmnist {

/// One caller at a time. After a failed step the engine continues from the weights of the last completed one.
class Session {
 public:
  /// A step that was begun. When it has ended it moves on to the list of its run, if it is part of one.
  struct Step {
    std::shared_ptr<detail::StepOutcome> outcome;
    std::list<Step>* ended = nullptr;
    std::int64_t number = 0;  ///< steps() with it, once it has completed
  };
  using Steps = std::list<Step>;  // the oldest first

  /// `steps` were completed before.
  Session(std::unique_ptr<Engine> engine, std::int64_t steps) : engine_(std::move(engine)), steps_(steps) {}
  ~Session() { wait_for_all(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// For what is not a step. drain() first, unless nothing but stage() was used.
  Engine& engine() noexcept { return *engine_; }
  /// Completed updates.
  std::int64_t steps() const noexcept { return steps_; }

  /// Whether a slot is free.
  bool has_room() const noexcept { return in_flight_.size() < Engine::kSlots; }
  /// The slot that comes next, and its memory for n examples; it must be free.
  int next_slot() const noexcept { return next_slot_; }
  StagedBatch stage(std::int64_t n) { return engine_->stage(next_slot_, n); }

  /// Updates with the batch in `slot`, with nothing in flight.
  float step(int slot, float learning_rate);
  /// Updates by a call of apply(), of the engine: false, and nothing has changed, if that returns false.
  template <typename Apply>
  bool update(const Apply& apply) {
    const bool updated = apply();
    if (updated) ++steps_;
    return updated;
  }
  /// The same begun with the batch in the next slot.
  std::shared_ptr<detail::StepOutcome> begin(int slot, float learning_rate, Steps* ended = nullptr);

  /// Waits for the oldest step in flight. If it failed, drains, and throws what drain() throws.
  void finish_oldest();
  /// Waits for every step in flight; a failure that nobody was told of is thrown.
  void drain();
  /// The same without throwing: the oldest such failure, or null.
  std::shared_ptr<detail::StepOutcome> wait_for_all() noexcept;

  /// In a forked child: whether a step was in flight, which ends in the parent alone.
  bool lost_steps() const noexcept;

 private:
  bool retire_oldest() noexcept;

  const std::unique_ptr<Engine> engine_;
  Steps in_flight_;  // at most Engine::kSlots
  int next_slot_ = 0;
  std::int64_t steps_;
};

}  // namespace mpsmnist
