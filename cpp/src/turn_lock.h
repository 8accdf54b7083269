// A recursive mutex that is fair: threads get their turns in the order in which they asked.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace mpsmnist {

/// std::recursive_mutex lets a thread that unlocks and locks again in a loop shut out all others for seconds.
class TurnLock {
 public:
  void lock() noexcept {
    const auto self = std::this_thread::get_id();
    if (owner_.load(std::memory_order_relaxed) != self) {
      const std::uint32_t turn = next_turn_.fetch_add(1, std::memory_order_relaxed);
      for (std::uint32_t now = turn_.load(); now != turn; now = turn_.load()) turn_.wait(now);
      owner_.store(self, std::memory_order_relaxed);
    }
    ++depth_;
  }

  void unlock() noexcept {
    if (--depth_ > 0) return;
    owner_.store({}, std::memory_order_relaxed);
    turn_.fetch_add(1);
    turn_.notify_all();
  }

  /// Only in a forked child, before it has a second thread: keeps the lock if the calling thread has it, and frees it
  /// of the threads that are gone. Returns whether one of those had it.
  bool after_fork() noexcept {
    if (owner_.load() == std::this_thread::get_id()) {
      next_turn_.store(turn_.load() + 1);
      return false;
    }
    const bool was_locked = next_turn_.load() != turn_.load();
    owner_.store({});
    next_turn_.store(turn_.load());
    depth_ = 0;
    return was_locked;
  }

 private:
  std::atomic<std::uint32_t> next_turn_{0};
  std::atomic<std::uint32_t> turn_{0};  // whose it is
  std::atomic<std::thread::id> owner_{};
  int depth_ = 0;  // the owner's
};

}  // namespace mpsmnist
