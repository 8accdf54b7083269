#include "control.h"

#include <array>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <utility>

#include "fatal.h"

namespace objc_host {
namespace {

struct NilFault {
  std::uint64_t calls_before = 0;
  std::uint64_t count = 0;
};

struct ExceptionFault {
  std::uint64_t calls_before = 0;
  std::optional<Exception> exception;
};

struct Settings {
  std::minstd_rand generator{1};
  std::uint32_t max_execute_us = 0;
  std::uint32_t max_handler_us = 0;
  std::uint64_t commits = 0;
  std::map<std::uint64_t, CommitFault> commit_faults;  // by number of the commit
  std::array<NilFault, OBJC_HOST_CALLS> nil_faults{};
  bool held = false;
  std::vector<objc_host_gpu> gpus{OBJC_HOST_GPU_APPLE};
  bool has_default_gpu = true;
  std::array<ExceptionFault, OBJC_HOST_CALLS> exceptions{};
  int roots = 1;
  bool first_root_completes = false;
  objc_host_graph_handler graph_handler = OBJC_HOST_GRAPH_HANDLER_FIRST;
  bool computes = true;
  Mode mode = Mode::of_environment();
  objc_host_tensors tensors = OBJC_HOST_TENSORS_COMPILED;
};

std::mutex mutex;
// Never destroyed: threads use them until the process is gone, and a forked child's copy keeps waiters that are not.
std::condition_variable& released = *new std::condition_variable;
Settings& settings = *new Settings;
std::array<std::atomic<std::int64_t>, OBJC_HOST_COUNTERS> counters{};

std::chrono::microseconds random_delay(std::uint32_t max_us) {
  if (max_us == 0) return {};
  return std::chrono::microseconds(std::uniform_int_distribution<std::uint32_t>(0, max_us)(settings.generator));
}

}  // namespace

void fail(const std::string& message) {
  std::fprintf(stderr, "objc_host: %s\n", message.c_str());
  std::abort();
}

void count(objc_host_counter counter, std::int64_t change) { counters[counter] += change; }

std::optional<Exception> next_exception(objc_host_call call) {
  std::lock_guard lock(mutex);
  ExceptionFault& fault = settings.exceptions[static_cast<std::size_t>(call)];
  if (!fault.exception || fault.calls_before-- > 0) return std::nullopt;
  return std::exchange(fault.exception, std::nullopt);
}

bool returns_nil(objc_host_call call) {
  throw_if_asked(call);
  std::lock_guard lock(mutex);
  NilFault& fault = settings.nil_faults[static_cast<std::size_t>(call)];
  if (fault.count == 0) return false;
  if (fault.calls_before > 0) {
    --fault.calls_before;
    return false;
  }
  --fault.count;
  return true;
}

std::optional<CommitFault> next_commit_fault() {
  std::lock_guard lock(mutex);
  const auto fault = settings.commit_faults.extract(++settings.commits);
  if (fault.empty()) return std::nullopt;
  return fault.mapped();
}

std::chrono::microseconds next_execute_delay() {
  std::lock_guard lock(mutex);
  return random_delay(settings.max_execute_us);
}

std::chrono::microseconds next_handler_delay() {
  std::lock_guard lock(mutex);
  return random_delay(settings.max_handler_us);
}

void wait_while_held() {
  std::unique_lock lock(mutex);
  released.wait(lock, [] { return !settings.held; });
}

std::vector<objc_host_gpu> gpus() {
  std::lock_guard lock(mutex);
  return settings.gpus;
}

bool has_default_gpu() {
  std::lock_guard lock(mutex);
  return settings.has_default_gpu && !settings.gpus.empty();
}

int roots() {
  std::lock_guard lock(mutex);
  return settings.roots;
}

bool first_root_completes() {
  std::lock_guard lock(mutex);
  return settings.first_root_completes;
}

objc_host_graph_handler graph_handler() {
  std::lock_guard lock(mutex);
  return settings.graph_handler;
}

bool computes() {
  std::lock_guard lock(mutex);
  return settings.computes;
}

Mode mode() {
  std::lock_guard lock(mutex);
  return settings.mode;
}

objc_host_tensors reported_tensors() {
  std::lock_guard lock(mutex);
  return settings.tensors;
}

}  // namespace objc_host

using objc_host::counters;
using objc_host::mutex;
using objc_host::settings;

void objc_host_reset() {
  std::lock_guard lock(mutex);
  settings = {};
  objc_host::released.notify_all();
  for (const auto event : {OBJC_HOST_COMMITS, OBJC_HOST_ENCODES, OBJC_HOST_BUFFERS_ALLOCATED, OBJC_HOST_COMPILED,
                           OBJC_HOST_OPERATIONS, OBJC_HOST_NAN_FEEDS}) {
    counters[event] = 0;
  }
}

int64_t objc_host_count(int counter) {
  if (counter < 0 || counter >= OBJC_HOST_COUNTERS) objc_host::fail("no counter " + std::to_string(counter));
  return counter == OBJC_HOST_OBJC_OBJECTS ? objc_host::objective_c_objects()
                                           : counters[static_cast<std::size_t>(counter)].load();
}

void objc_host_set_delays(uint64_t seed, uint32_t max_execute_us, uint32_t max_handler_us) {
  std::lock_guard lock(mutex);
  settings.generator.seed(static_cast<std::minstd_rand::result_type>(seed));
  settings.max_execute_us = max_execute_us;
  settings.max_handler_us = max_handler_us;
}

void objc_host_hold(int on) {
  std::lock_guard lock(mutex);
  settings.held = on != 0;
  objc_host::released.notify_all();
}

void objc_host_fail_commit(uint64_t number, const char* text) {
  if (number == 0) objc_host::fail("commits are numbered from 1");
  std::lock_guard lock(mutex);
  auto& fault = settings.commit_faults[settings.commits + number];
  if (text != nullptr) fault.text = text;
}

void objc_host_return_nil(int call, uint64_t number, uint64_t count) {
  if (call < 0 || call >= OBJC_HOST_CALLS) objc_host::fail("no call " + std::to_string(call));
  if (number == 0) objc_host::fail("calls are numbered from 1");
  std::lock_guard lock(mutex);
  settings.nil_faults[static_cast<std::size_t>(call)] = {.calls_before = number - 1, .count = count};
}

void objc_host_set_gpus(const int* kinds, int count, int has_default) {
  std::lock_guard lock(mutex);
  settings.gpus.clear();
  for (int i = 0; i < count; ++i) {
    if (kinds[i] < 0 || kinds[i] >= OBJC_HOST_GPUS) objc_host::fail("no kind of GPU " + std::to_string(kinds[i]));
    settings.gpus.push_back(static_cast<objc_host_gpu>(kinds[i]));
  }
  settings.has_default_gpu = has_default != 0;
}

void objc_host_throw(int call, uint64_t number, const char* name, const char* reason) {
  if (call < 0 || call >= OBJC_HOST_CALLS) objc_host::fail("no call " + std::to_string(call));
  if (number == 0) objc_host::fail("calls are numbered from 1");
  std::lock_guard lock(mutex);
  objc_host::Exception exception;
  if (name != nullptr) exception = {name, reason};
  settings.exceptions[static_cast<std::size_t>(call)] = {.calls_before = number - 1, .exception = std::move(exception)};
}

void objc_host_set_roots(int roots, int first_completes) {
  if (roots < 1) objc_host::fail("a run has a root, not " + std::to_string(roots));
  std::lock_guard lock(mutex);
  settings.roots = roots;
  settings.first_root_completes = first_completes != 0;
}

void objc_host_set_graph_handler(int kind) {
  if (kind < 0 || kind >= OBJC_HOST_GRAPH_HANDLERS) objc_host::fail("no graph handler " + std::to_string(kind));
  std::lock_guard lock(mutex);
  settings.graph_handler = static_cast<objc_host_graph_handler>(kind);
}

void objc_host_set_arithmetic(int on) {
  std::lock_guard lock(mutex);
  settings.computes = on != 0;
}

void objc_host_set_mode(const char* words) {
  std::lock_guard lock(mutex);
  settings.mode.choose(words);
}

const char* objc_host_mode(const char* name) {
  std::lock_guard lock(mutex);
  return settings.mode.word(name);
}

void objc_host_set_tensors(int kind) {
  if (kind < 0 || kind >= OBJC_HOST_TENSORS_KINDS) objc_host::fail("no kind of tensors " + std::to_string(kind));
  std::lock_guard lock(mutex);
  settings.tensors = static_cast<objc_host_tensors>(kind);
}
