// The order of steps in flight: outcomes in order whatever the order of the ends, and what a failure leaves behind.
#include "mps/step_queue.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
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

void test_outcomes_come_in_order() {
  StepQueue queue;
  const Step first(queue), second(queue), third(queue);
  queue.finish(second.ticket, completed(2));
  queue.finish(third.ticket, completed(3));
  CHECK(!second.outcome->done() && !third.outcome->done(), "later steps have ended, but the first has not");
  CHECK(queue.completed_set() == 0, "no step has completed: " + std::to_string(queue.completed_set()));
  queue.finish(first.ticket, completed(1));
  CHECK(third.outcome->done(), "the first step's end passes on the outcomes that waited for it");
  CHECK(first.outcome->wait() == 1 && second.outcome->wait() == 2 && third.outcome->wait() == 3,
        "each outcome has its own step's loss");
}

// Each step reads what the one before it wrote.
void test_sets_go_round() {
  StepQueue queue;
  std::string sets;
  for (int step = 0; step < 4; ++step) {
    sets += to_string(queue.next_sets()) + "; ";
    const int write = queue.next_sets().write;
    queue.finish(Step(queue).ticket, completed(0));
    CHECK(queue.completed_set() == write, "step " + std::to_string(step));
  }
  CHECK(sets == "0 -> 1; 1 -> 2; 2 -> 0; 0 -> 1; ", sets);
}

void test_failure_fails_the_next_and_keeps_the_completed_set() {
  StepQueue queue;
  queue.finish(Step(queue).ticket, completed(1));
  const Step bad(queue), next(queue);
  queue.finish(next.ticket, completed(3));  // it ran, on what the bad one left
  CHECK(!queue.failed(), "nothing is known of the bad step yet");
  queue.finish(bad.ticket, failed("boom"));
  CHECK(bad.failure() == "[mps step] boom", bad.failure());
  CHECK(next.failure() == "[mps step] the step before it failed: boom", next.failure());
  CHECK(queue.completed_set() == 1,
        "the set of the last completed step stays: " + std::to_string(queue.completed_set()));

  for (const char* which : {"first", "second"}) {
    const Step late(queue);
    queue.finish(late.ticket, completed(4));
    CHECK(queue.failed() && !late.outcome->wait_succeeded(), std::string(which) + " step before recover()");
  }

  queue.recover();
  CHECK(!queue.failed(), "recover() forgets the failure");
  CHECK(to_string(queue.next_sets()) == "1 -> 2", "from the completed set: " + to_string(queue.next_sets()));
  const Step again(queue);
  queue.finish(again.ticket, completed(5));
  CHECK(again.outcome->wait() == 5 && queue.completed_set() == 2, "training goes on");
}

void test_drain_waits_for_every_end() {
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
  CHECK(ended, "drain() returned before the first step had ended");
  CHECK(first.outcome->done() && second.outcome->done(), "outcomes are known when drain() returns");
  handler.join();
}

// As the engine does it: two in flight, each ended by a thread of its own after a while that depends on the step.
void test_ends_from_many_threads() {
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
  CHECK(own_losses, "each outcome has its own step's loss");
  CHECK(completed_set_is_safe, "no step may write the last completed set");
  CHECK(queue.completed_set() == kSteps % StepQueue::kSets, std::to_string(queue.completed_set()));
}

}  // namespace

void test_step_queue() {
  test_outcomes_come_in_order();
  test_sets_go_round();
  test_failure_fails_the_next_and_keeps_the_completed_set();
  test_drain_waits_for_every_end();
  test_ends_from_many_threads();
}

}  // namespace mpsmnist::test
