// One thread that runs jobs in the order in which they came.
#pragma once

#include <cstdint>
#include <functional>

namespace mpsmnist::cpu {

/// The thread starts with the first job. After a fork, the child starts its own.
class Executor {
 public:
  Executor() = default;
  /// Finishes what was submitted.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Jobs must not throw. Throws std::system_error if the thread cannot be started.
  void submit(std::function<void()> job);

 private:
  struct Shared;
  void stop();

  std::uint64_t forks_seen_ = 0;
  Shared* shared_ = nullptr;  // owned; leaked by a forked child, whose copy of the thread does not exist
};

}  // namespace mpsmnist::cpu
