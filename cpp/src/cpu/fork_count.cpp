#include "cpu/fork_count.h"

#include <pthread.h>

#include <atomic>

namespace mpsmnist::cpu {
namespace {

std::atomic<std::uint64_t> forks{0};

}  // namespace

std::uint64_t fork_count() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); });
  static_cast<void>(registered);
  return forks.load(std::memory_order_relaxed);
}

}  // namespace mpsmnist::cpu
