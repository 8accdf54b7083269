#include "command_queue.h"

#import <Foundation/Foundation.h>

#include <atomic>
#include <utility>

namespace objc_host {

struct Worker::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> tasks;
  bool stopped = false;

  void run();
};

void Worker::Shared::run() {
  GSRegisterCurrentThread();
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return stopped || !tasks.empty(); });
    if (tasks.empty()) break;
    std::function<void()> task = std::move(tasks.front());
    tasks.pop_front();
    lock.unlock();
    NSAutoreleasePool* pool = [[NSAutoreleasePool alloc] init];
    task();
    task = nullptr;  // what it holds goes before the pool does
    [pool drain];
    lock.lock();
  }
  lock.unlock();
  GSUnregisterCurrentThread();
}

Worker::Worker() : shared_(std::make_shared<Shared>()), thread_([shared = shared_] { shared->run(); }) {}

Worker::~Worker() {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->stopped = true;
  }
  shared_->changed.notify_one();
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void Worker::put(std::function<void()> task) {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->tasks.push_back(std::move(task));
  }
  shared_->changed.notify_one();
}

namespace {
std::atomic<int> queues{0};
}

CommandQueue::CommandQueue() : number_(++queues) {}

}  // namespace objc_host
