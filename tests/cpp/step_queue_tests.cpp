// The order of steps in flight: outcomes in order whatever the order of the ends, and what a failure leaves behind.
#include "mps/step_queue.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine.h"

namespace mpsmnist::test {
namespace {

using detail::StepOutcome;
using mps::StepQueue;

using Outcome = std::shared_ptr<StepOutcome>;

StepQueue::End completed(float loss) { return {std::nullopt, loss}; }
StepQueue::End failed(const std::string& reason) { return {reason, 0}; }

struct Step {
  Outcome outcome = std::make_shared<StepOutcome>();
  StepQueue::Ticket ticket;

  explicit Step(StepQueue& queue) : ticket(queue.begin(outcome)) {}

  std::string failure() const {
    try {
      outcome->wait();
    } catch (const DeviceError& error) {
      return error.what();
    }
    return "";
  }
};

std::string to_string(const StepQueue::Sets& sets) {
  return std::to_string(sets.read) + " -> " + std::to_string(sets.write);
}

TEST_CASE("step queue: outcomes come in order") {
  StepQueue queue;
  const Step first(queue), second(queue), third(queue);
  queue.finish(second.ticket, completed(2));
  queue.finish(third.ticket, completed(3));
  CHECK_FALSE(second.outcome->done());
  CHECK_FALSE(third.outcome->done());
  CHECK(queue.completed_set() == 0);
  queue.finish(first.ticket, completed(1));
  CHECK_MESSAGE(third.outcome->done(), "the first step's end passes on the outcomes that waited for it");
  CHECK(first.outcome->wait() == 1);
  CHECK(second.outcome->wait() == 2);
  CHECK(third.outcome->wait() == 3);
}

TEST_CASE("step queue: each step reads what the one before it wrote") {
  StepQueue queue;
  std::string sets;
  for (int step = 0; step < 4; ++step) {
    sets += to_string(queue.next_sets()) + "; ";
    const int write = queue.next_sets().write;
    queue.finish(Step(queue).ticket, completed(0));
    CAPTURE(step);
    CHECK(queue.completed_set() == write);
  }
  CHECK(sets == "0 -> 1; 1 -> 2; 2 -> 0; 0 -> 1; ");
}

TEST_CASE("step queue: a failure fails the next steps and keeps the last completed set") {
  StepQueue queue;
  queue.finish(Step(queue).ticket, completed(1));
  const Step bad(queue), next(queue);
  queue.finish(next.ticket, completed(3));  // it ran, on what the bad one left
  CHECK_MESSAGE(!queue.failed(), "nothing is known of the bad step yet");
  queue.finish(bad.ticket, failed("boom"));
  CHECK(bad.failure() == "[mps step] boom");
  CHECK(next.failure() == "[mps step] the step before it failed: boom");
  CHECK_MESSAGE(queue.completed_set() == 1, "the set of the last completed step stays");

  for (const char* which : {"first", "second"}) {
    const Step late(queue);
    queue.finish(late.ticket, completed(4));
    CAPTURE(which);
    CHECK(queue.failed());
    CHECK_FALSE(late.outcome->wait_succeeded());
  }

  queue.recover();
  CHECK_FALSE(queue.failed());
  CHECK(to_string(queue.next_sets()) == "1 -> 2");
  const Step again(queue);
  queue.finish(again.ticket, completed(5));
  CHECK(again.outcome->wait() == 5);
  CHECK(queue.completed_set() == 2);
}

TEST_CASE("step queue: drain() waits for every end") {
  StepQueue queue;
  queue.drain();  // nothing in flight: returns
  const Step first(queue), second(queue);
  std::atomic<bool> ended{false};
  std::thread handler([&] {
    queue.finish(second.ticket, failed("late"));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ended = true;
    queue.finish(first.ticket, completed(1));
  });
  queue.drain();
  CHECK_MESSAGE(ended, "drain() returned before the first step had ended");
  CHECK(first.outcome->done());
  CHECK(second.outcome->done());
  handler.join();
}

// As the engine does it: two in flight, each ended by a thread of its own after a while that depends on the step.
TEST_CASE("step queue: ends come from many threads") {
  constexpr int kSteps = 500;
  StepQueue queue;
  std::vector<Outcome> outcomes;
  std::vector<std::thread> handlers;
  bool completed_set_is_safe = true;
  for (int step = 0; step < kSteps; ++step) {
    if (step >= Engine::kSlots) outcomes[static_cast<std::size_t>(step - Engine::kSlots)]->wait();
    completed_set_is_safe &= queue.next_sets().write != queue.completed_set();
    const Step begun(queue);
    outcomes.push_back(begun.outcome);
    handlers.emplace_back([&queue, step, ticket = begun.ticket] {
      std::this_thread::sleep_for(std::chrono::microseconds(step * 7919 % 200));
      queue.finish(ticket, completed(static_cast<float>(step)));
    });
  }
  queue.drain();
  for (std::thread& handler : handlers) handler.join();
  bool own_losses = true;
  for (int step = 0; step < kSteps; ++step) {
    own_losses &= outcomes[static_cast<std::size_t>(step)]->wait() == static_cast<float>(step);
  }
  CHECK_MESSAGE(own_losses, "each outcome has its own step's loss");
  CHECK_MESSAGE(completed_set_is_safe, "no step may write the last completed set");
  CHECK(queue.completed_set() == kSteps % StepQueue::kSets);
}

}  // namespace

}  // namespace mpsmnist::test
