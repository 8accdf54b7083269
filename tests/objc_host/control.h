// What the host itself asks of host_control.h's settings and counters.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "host_control.h"
#include "mode.h"

namespace objc_host {

/// What OBJC_HOST_OBJC_OBJECTS counts (it is GNUstep that does).
std::int64_t objective_c_objects();

void count(objc_host_counter counter, std::int64_t change = 1);

/// Counts this call; whether it must return nil.
bool returns_nil(objc_host_call call);

/// How a command buffer fails: with the text of its NSError, or with no NSError.
struct CommitFault {
  std::optional<std::string> text;
};

/// Counts this commit; how it must fail, or none.
std::optional<CommitFault> next_commit_fault();

std::chrono::microseconds next_execute_delay();
std::chrono::microseconds next_handler_delay();

void wait_while_held();

bool unified_memory();
bool commit_during_encode();
bool computes();
Mode mode();
objc_host_tensors reported_tensors();

/// Member or base of whatever counts as a live object of the host.
struct Counted {
  Counted() { count(OBJC_HOST_LIVE_OBJECTS, 1); }
  Counted(const Counted&) : Counted() {}
  Counted& operator=(const Counted&) = default;
  ~Counted() { count(OBJC_HOST_LIVE_OBJECTS, -1); }
};

}  // namespace objc_host
