#include "cpu/executor.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "fork.h"

namespace mpsmnist::cpu {

struct Executor::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  bool stopping = false;
  std::thread thread{[this] { work(); }};

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return stopping || !jobs.empty(); });
      if (jobs.empty()) return;
      const std::function<void()> job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }
};

Executor::~Executor() {
  if (shared_ != nullptr && forks_seen_ == fork_count()) stop();
}

void Executor::stop() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->changed.notify_one();
  }
  shared_->thread.join();
  delete shared_;
}

void Executor::submit(std::function<void()> job) {
  if (shared_ == nullptr || forks_seen_ != fork_count()) {
    shared_ = nullptr;  // if the thread cannot be started, the next job tries again
    shared_ = new Shared;
    forks_seen_ = fork_count();
  }
  const std::lock_guard lock(shared_->mutex);
  shared_->jobs.push_back(std::move(job));
  shared_->changed.notify_one();
}

}  // namespace mpsmnist::cpu
