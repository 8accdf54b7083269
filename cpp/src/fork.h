// Forked children: processes with a copy of the memory, but none of the threads that worked on it.
#pragma once

#include <cstdint>
#include <functional>

namespace mpsmnist {

/// How many forks lie between this process and the one that first called this.
std::uint64_t fork_count() noexcept;

/// While it lives, each forked child calls after_fork(), in the thread that forked and before fork() returns. There is
/// no other thread yet, and what one of the parent's worked on may be in any state. after_fork() must not throw.
class ForkObserver {
 public:
  explicit ForkObserver(std::function<void()> after_fork);
  ~ForkObserver();
  ForkObserver(const ForkObserver&) = delete;
  ForkObserver& operator=(const ForkObserver&) = delete;

 private:
  friend struct ForkObservers;

  const std::function<void()> after_fork_;
  ForkObserver* previous_ = nullptr;
  ForkObserver* next_ = nullptr;
};

}  // namespace mpsmnist
