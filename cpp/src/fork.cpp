#include "fork.h"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <utility>

namespace mpsmnist {

/// All observers, in a list of their own members: adding one cannot fail, and nothing is ever destroyed at exit.
struct ForkObservers {
  static constinit std::mutex mutex;  // held while the process forks, so that the child finds the list whole
  static constinit ForkObserver* first;
  static constinit std::atomic<std::uint64_t> forks;

  static void before_fork() { mutex.lock(); }
  static void after_fork_in_parent() { mutex.unlock(); }
  static void after_fork_in_child() {
    forks.fetch_add(1, std::memory_order_relaxed);
    for (ForkObserver* observer = first; observer != nullptr; observer = observer->next_) observer->after_fork_();
    mutex.unlock();
  }

  static void watch() noexcept {
    static const int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    static_cast<void>(registered);
  }

  static void add(ForkObserver* observer) noexcept {
    watch();
    const std::lock_guard lock(mutex);
    observer->next_ = first;
    if (first != nullptr) first->previous_ = observer;
    first = observer;
  }

  static void remove(ForkObserver* observer) noexcept {
    const std::lock_guard lock(mutex);
    (observer->previous_ == nullptr ? first : observer->previous_->next_) = observer->next_;
    if (observer->next_ != nullptr) observer->next_->previous_ = observer->previous_;
  }
};

constinit std::mutex ForkObservers::mutex;
constinit ForkObserver* ForkObservers::first = nullptr;
constinit std::atomic<std::uint64_t> ForkObservers::forks{0};

std::uint64_t fork_count() noexcept {
  ForkObservers::watch();
  return ForkObservers::forks.load(std::memory_order_relaxed);
}

ForkObserver::ForkObserver(std::function<void()> after_fork) : after_fork_(std::move(after_fork)) {
  ForkObservers::add(this);
}
ForkObserver::~ForkObserver() { ForkObservers::remove(this); }

}  // namespace mpsmnist
