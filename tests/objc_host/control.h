// What the host itself asks of host_control.h's settings and counters.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host_control.h"
#include "mode.h"

namespace objc_host {

/// What OBJC_HOST_OBJC_OBJECTS counts (it is GNUstep that does).
std::int64_t objective_c_objects();

void count(objc_host_counter counter, std::int64_t change = 1);

/// Counts this call; throws the exception that it must.
void throw_if_asked(objc_host_call call);

/// An exception that a call must throw. Without a name, its name and reason are nil.
struct Exception {
  std::string name;
  std::string reason;
};

/// What throw_if_asked() asks: it needs Objective-C, and the settings none.
std::optional<Exception> next_exception(objc_host_call call);

/// throw_if_asked(), and then whether the call must return nil.
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

std::vector<objc_host_gpu> gpus();
bool has_default_gpu();
int roots();
bool first_root_completes();
objc_host_graph_handler graph_handler();
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
