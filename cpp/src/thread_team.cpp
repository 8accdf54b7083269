#include "thread_team.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "float_mode.h"
#include "fork.h"

namespace mpsmnist {
namespace {

using Clock = std::chrono::steady_clock;

// Longer than the pause between two phases or two steps, too short to matter to anybody else.
constexpr auto kSpin = std::chrono::microseconds(60);

void pause_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

// Spins until done() or the time is up; returns done().
template <typename Done>
bool spin_until(Done done) {
  const auto deadline = Clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      pause_core();
    }
  } while (Clock::now() < deadline);
  return done();
}

// A phase in one word, so that claiming a task and checking that the phase is still the current one are a single
// compare-and-swap: a worker that wakes late finds nothing to claim, and nobody has to wait for it.
constexpr int kCountBits = 20;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;
constexpr std::int64_t kMaxTasks = static_cast<std::int64_t>(kCountMask);

constexpr std::uint64_t ticket_of(std::uint64_t phase, std::uint64_t next, std::uint64_t count) {
  return phase << (2 * kCountBits) | next << kCountBits | count;
}
constexpr std::uint64_t next_of(std::uint64_t ticket) { return ticket >> kCountBits & kCountMask; }
constexpr std::uint64_t count_of(std::uint64_t ticket) { return ticket & kCountMask; }
constexpr bool has_task(std::uint64_t ticket) { return next_of(ticket) < count_of(ticket); }

}  // namespace

struct ThreadTeam::Shared {
  alignas(64) std::atomic<std::uint64_t> ticket{0};
  alignas(64) std::atomic<std::int64_t> finished{0};
  // The task of the phase: stable from the claim of one of its indices until that index is finished.
  alignas(64) Function function = nullptr;
  void* context = nullptr;

  std::atomic<bool> stopping{false};
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false};
  std::mutex mutex;
  std::condition_variable wake_workers;
  std::condition_variable wake_caller;
  std::vector<std::thread> workers;

  bool work_or_stop() const { return has_task(ticket.load()) || stopping.load(); }

  // Runs tasks while there are any. Claims are numbered in order, so early indices start first.
  void run_available(int thread) {
    std::uint64_t seen = ticket.load(std::memory_order_acquire);
    while (has_task(seen)) {
      if (!ticket.compare_exchange_weak(seen, seen + (std::uint64_t{1} << kCountBits), std::memory_order_acq_rel))
        continue;
      const auto count = static_cast<std::int64_t>(count_of(seen));
      function(context, static_cast<std::int64_t>(next_of(seen)), thread);
      if (finished.fetch_add(1) + 1 == count && caller_sleeps.load()) {
        const std::lock_guard lock(mutex);
        wake_caller.notify_one();
      }
      seen = ticket.load(std::memory_order_acquire);
    }
  }

  void work(int thread) {
    const FloatMode mode;
    while (!stopping.load()) {
      run_available(thread);
      if (spin_until([this] { return work_or_stop(); })) continue;
      std::unique_lock lock(mutex);
      sleepers.fetch_add(1);
      wake_workers.wait(lock, [this] { return work_or_stop(); });
      sleepers.fetch_sub(1);
    }
  }

  void wait_finished(std::int64_t count) {
    const auto done = [this, count] { return finished.load() == count; };
    if (spin_until(done)) return;
    std::unique_lock lock(mutex);
    caller_sleeps.store(true);
    wake_caller.wait(lock, done);
    caller_sleeps.store(false);
  }
};

ThreadTeam::ThreadTeam(int threads) : threads_(threads) { start(); }

ThreadTeam::~ThreadTeam() {
  if (forks_seen_ == fork_count()) {
    if (shared_ != nullptr) stop(*shared_);
  } else {
    abandon();
  }
}

// Leaves shared_ empty if a thread cannot be started.
void ThreadTeam::start() {
  auto shared = std::make_unique<Shared>();
  try {
    for (int thread = 1; thread < threads_; ++thread) {
      shared->workers.emplace_back([shared = shared.get(), thread] { shared->work(thread); });
    }
  } catch (...) {
    stop(*shared);
    throw;
  }
  shared_ = std::move(shared);
  forks_seen_ = fork_count();
}

void ThreadTeam::stop(Shared& shared) {
  shared.stopping.store(true);
  {
    const std::lock_guard lock(shared.mutex);
    shared.wake_workers.notify_all();
  }
  for (std::thread& worker : shared.workers) worker.join();
}

// In a forked child there is nobody to join, and the mutex may be held by a thread that is gone: leak both.
void ThreadTeam::abandon() { static_cast<void>(shared_.release()); }

void ThreadTeam::run_tasks(std::int64_t count, Function function, void* context) {
  if (forks_seen_ != fork_count()) abandon();
  if (shared_ == nullptr) start();
  const FloatMode mode;
  if (threads_ == 1 || count <= 1 || count > kMaxTasks) {
    for (std::int64_t index = 0; index < count; ++index) function(context, index, 0);
    return;
  }
  Shared& shared = *shared_;
  shared.function = function;
  shared.context = context;
  shared.finished.store(0);
  const std::uint64_t phase = (shared.ticket.load() >> (2 * kCountBits)) + 1;
  shared.ticket.store(ticket_of(phase, 0, static_cast<std::uint64_t>(count)));
  if (shared.sleepers.load() > 0) {
    const std::lock_guard lock(shared.mutex);
    shared.wake_workers.notify_all();
  }
  shared.run_available(0);
  shared.wait_finished(count);
}

}  // namespace mpsmnist
