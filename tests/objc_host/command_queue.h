// A command queue's two threads: one executes command buffers in the order of their commits, one calls handlers.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "control.h"

namespace objc_host {

/// Runs tasks in order on a thread of its own that GNUstep knows. Tasks put before stop() are still run.
class Worker {
 public:
  Worker();
  /// Waits for the thread, unless it is the one that is calling.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void put(std::function<void()> task);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

/// Owned by the MTLCommandQueue and by every command buffer of it.
class CommandQueue {
 public:
  CommandQueue();

  int number() const { return number_; }
  Worker& device() { return device_; }
  Worker& handlers() { return handlers_; }

 private:
  int number_;
  Worker handlers_;
  Worker device_;
  Counted counted_;
};

}  // namespace objc_host
