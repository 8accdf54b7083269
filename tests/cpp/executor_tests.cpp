// One thread that runs jobs in their order.
#include "cpu/executor.h"

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

namespace mpsmnist::test {
namespace {

TEST_CASE("executor: jobs run in order, and all of them before it is gone") {
  std::vector<int> expected(100), order;
  std::iota(expected.begin(), expected.end(), 0);
  {
    cpu::Executor executor;
    for (const int i : expected) executor.submit([&order, i] { order.push_back(i); });
  }
  CHECK(order == expected);
}

}  // namespace
}  // namespace mpsmnist::test
