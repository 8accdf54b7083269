// The pool and the executor: every task once, sleep when idle.
#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <thread>

#include "check.h"
#include "cpu/cpu_count.h"
#include "cpu/executor.h"
#include "cpu/thread_pool.h"

namespace mpsmnist::test {

void test_thread_pool() {
  for (const int threads : {1, 2, 3, 16}) {
    cpu::ThreadPool pool(threads);
    bool every_task_once = true;
    bool thread_in_range = true;
    for (int round = 0; round < 2000; ++round) {
      const int count = round % 40;
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      std::atomic<bool> in_range{true};
      pool.run(count, [&](std::int64_t index, int thread) {
        ++calls[static_cast<std::size_t>(index)];
        if (thread < 0 || thread >= threads) in_range = false;
      });
      for (const auto& n : calls) every_task_once &= n == 1;
      thread_in_range &= in_range;
    }
    CHECK(every_task_once, std::to_string(threads) + " threads");
    CHECK(thread_in_range, std::to_string(threads) + " threads");

    // Between phases nobody computes: under 1% of a core, once the workers have stopped spinning.
    pool.run(64, [](std::int64_t, int) {});
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const std::clock_t before = std::clock();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const double busy = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
    CHECK(busy < 0.005, "idle pool used " + std::to_string(busy) + " s of CPU in 0.5 s");

    // Asleep, they wake again.
    std::atomic<int> sum{0};
    pool.run(100, [&](std::int64_t index, int) { sum += static_cast<int>(index); });
    CHECK(sum == 4950, "after a sleep");
  }
  CHECK(cpu::usable_cores() >= 1 && cpu::usable_cores() <= static_cast<int>(std::thread::hardware_concurrency()),
        std::to_string(cpu::usable_cores()));
}

void test_executor() {
  std::vector<int> order;
  {
    cpu::Executor executor;
    for (int i = 0; i < 100; ++i) executor.submit([&order, i] { order.push_back(i); });
  }
  bool in_order = order.size() == 100;
  for (std::size_t i = 0; i < order.size(); ++i) in_order &= order[i] == static_cast<int>(i);
  CHECK(in_order, "jobs run in order, and all before the executor is gone");
}

}  // namespace mpsmnist::test
