// The lock of the Trainer: turns in order, recursion, and forks while somebody has it.
#include "turn_lock.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mutex>
#include <thread>
#include <vector>

#include "mpsmnist/mpsmnist.h"
#include "step_outcome.h"

namespace mpsmnist::test {
namespace {

/// What check() returns in a forked child.
template <typename Check>
bool in_forked_child(const Check& check) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);  // a child that waits for the parent's threads must not hang the test
    _exit(check() ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status == 0;
}

TEST_CASE("turns: one thread at a time, which may lock again") {
  TurnLock lock;
  int sum = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) {
        const std::lock_guard outer(lock);
        const std::lock_guard inner(lock);
        ++sum;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(sum == 8000);
}

TEST_CASE("turns: whoever waits comes before a thread that locks again") {
  TurnLock lock;
  std::atomic<bool> asked{false}, had_turn{false};
  lock.lock();
  std::thread other([&] {
    asked = true;
    const std::lock_guard guard(lock);
    had_turn = true;
  });
  while (!asked) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // from asking to waiting
  lock.unlock();
  lock.lock();
  CHECK(had_turn);
  lock.unlock();
  other.join();
}

TEST_CASE("turns: a fork frees the lock of threads that are gone, and of no other") {
  TurnLock lock;
  CHECK(in_forked_child([&] { return !lock.after_fork() && (lock.lock(), lock.unlock(), true); }));
  {
    const std::lock_guard guard(lock);
    CHECK(in_forked_child([&] { return !lock.after_fork() && (lock.lock(), lock.unlock(), lock.unlock(), true); }));
    std::thread([&] {
      CHECK(in_forked_child([&] { return lock.after_fork() && (lock.lock(), lock.unlock(), true); }));
    }).join();
  }
}

TEST_CASE("outcomes: in a forked child a step under way has failed, one that has ended has not") {
  detail::StepOutcome pending, completed;
  completed.complete(2);
  CHECK(!pending.lost_in_fork());
  CHECK(in_forked_child([&] {
    if (!pending.lost_in_fork() || !pending.done() || pending.wait_succeeded() || completed.wait() != 2) return false;
    try {
      pending.wait();
    } catch (const DeviceError&) {
      return true;
    }
    return false;
  }));
  pending.complete(1);
  CHECK(pending.wait() == 1);
}

}  // namespace
}  // namespace mpsmnist::test
