// A small pool for phases of a few microseconds: workers spin briefly between phases, then sleep.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace mpsmnist {

/// Runs numbered tasks on the calling thread and `threads - 1` workers. One caller at a time.
///
/// Which thread runs which task is left to chance, so tasks must not care. All run in FloatMode. After a fork, the
/// child starts workers of its own at the first run(), which throws std::system_error if they cannot be started.
class ThreadTeam {
 public:
  /// Throws std::system_error if the threads cannot be started.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int threads() const noexcept { return threads_; }

  /// Calls task(index, thread) for each index 0..count-1, thread being 0..threads()-1, and waits for all.
  template <typename Task>
  void run(std::int64_t count, Task&& task) {
    using Stored = std::remove_reference_t<Task>;
    run_tasks(
        count, [](void* context, std::int64_t index, int thread) { (*static_cast<Stored*>(context))(index, thread); },
        const_cast<void*>(static_cast<const void*>(&task)));
  }

 private:
  using Function = void (*)(void* context, std::int64_t index, int thread);
  struct Shared;

  void run_tasks(std::int64_t count, Function function, void* context);
  void start();
  static void stop(Shared& shared);
  void abandon();

  const int threads_;
  std::uint64_t forks_seen_ = 0;
  std::unique_ptr<Shared> shared_;  // null in a forked child whose threads could not be started
};

}  // namespace mpsmnist
