// The threads of the CPU engine: every task once, asleep when idle.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <numeric>
#include <thread>
#include <vector>

#include "support/kernel_calls.h"

namespace mpsmnist::test {
namespace {

constexpr int kThreads[] = {1, 2, 3, 16};

TEST_CASE("threads: every task runs once, on a thread of the team") {
  for (const int threads : kThreads) {
    CAPTURE(threads);
    Team team(threads);
    int wrong = 0;
    for (int round = 0; round < 2000; ++round) {
      const int count = round % 40;
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      std::atomic<int> strangers{0};
      team.run(count, [&](std::int64_t index, int thread) {
        ++calls[static_cast<std::size_t>(index)];
        if (thread < 0 || thread >= threads) ++strangers;
      });
      for (const auto& n : calls) wrong += n != 1;
      wrong += strangers;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("threads: an idle team sleeps, and wakes again") {
  for (const int threads : kThreads) {
    CAPTURE(threads);
    Team team(threads);
    team.run(64, [](std::int64_t, int) {});
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // workers spin for a while first
    const std::clock_t before = std::clock();
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    const double busy = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
    CHECK(busy < 0.0025);  // seconds: 1% of a core

    std::atomic<std::int64_t> sum{0};
    team.run(100, [&](std::int64_t index, int) { sum += index; });
    CHECK(sum == 4950);
  }
}

}  // namespace
}  // namespace mpsmnist::test
