// Controls of the host implementation: delays, faults and counters. Plain C, so that Python reaches it with ctypes.
//
// All functions may be called from any thread. "Number" counts from 1, from the call that asks for the fault.
#pragma once

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define OBJC_HOST_EXPORT __attribute__((visibility("default")))

/// What can be made to return nil.
enum objc_host_call {
  OBJC_HOST_DEVICE = 0,          ///< MTLCreateSystemDefaultDevice()
  OBJC_HOST_QUEUE = 1,           ///< -[MTLDevice newCommandQueue]
  OBJC_HOST_BUFFER = 2,          ///< -[MTLDevice newBufferWithLength:options:]
  OBJC_HOST_COMMAND_BUFFER = 3,  ///< +[MPSCommandBuffer commandBufferFromCommandQueue:]
  OBJC_HOST_TENSOR_DATA = 4,     ///< -[MPSGraphTensorData initWithMTLBuffer:shape:dataType:]
  OBJC_HOST_DESCRIPTOR = 5,      ///< both +descriptorWith... of convolution and pooling
  OBJC_HOST_COMPILE = 6,         ///< -[MPSGraph compileWithDevice:...]
  OBJC_HOST_CALLS
};

/// What is counted.
enum objc_host_counter {
  OBJC_HOST_COMMITS = 0,            ///< command buffers committed
  OBJC_HOST_ENCODES = 1,            ///< executables encoded
  OBJC_HOST_BUFFERS_ALLOCATED = 2,  ///< MTLBuffers made
  OBJC_HOST_COMPILED = 3,           ///< executables compiled
  OBJC_HOST_LIVE_BUFFERS = 4,       ///< MTLBuffers that exist now
  OBJC_HOST_LIVE_OBJECTS = 5,       ///< objects of all host classes that exist now, buffers included
  OBJC_HOST_IN_FLIGHT = 6,          ///< command buffers committed whose handlers have not all returned
  OBJC_HOST_OBJC_OBJECTS = 7,       ///< Objective-C objects of every class since the first device: made less gone
  OBJC_HOST_OPERATIONS = 9,         ///< operations encoded, but for reshapes: as many dispatches if none are fused
  OBJC_HOST_NAN_FEEDS = 10,         ///< feeds with NaNs in them, of runs that executed
  OBJC_HOST_COUNTERS
};

/// Removes delays, faults and a hold, returns to the mode of the start, and sets the counters of events to 0.
OBJC_HOST_EXPORT void objc_host_reset(void);

OBJC_HOST_EXPORT int64_t objc_host_count(int counter);

/// Each command buffer waits up to max_execute_us before it executes, and up to max_handler_us between its completion
/// and its handlers; uniformly, from this seed.
OBJC_HOST_EXPORT void objc_host_set_delays(uint64_t seed, uint32_t max_execute_us, uint32_t max_handler_us);

/// While on, no command buffer begins to execute: what is committed stays in flight.
OBJC_HOST_EXPORT void objc_host_hold(int on);

/// The number-th commit from now fails: status error, an NSError with this text (NULL: no NSError), and garbage in its
/// results.
OBJC_HOST_EXPORT void objc_host_fail_commit(uint64_t number, const char* text);

/// What an executable's feedTensors and targetTensors hold. Apple does not say that it is the very objects compiled.
enum objc_host_tensors {
  OBJC_HOST_TENSORS_COMPILED = 0,  ///< those that were compiled: the default
  OBJC_HOST_TENSORS_COPIED = 1,    ///< other objects for the same tensors
  OBJC_HOST_TENSORS_MISSING = 2,   ///< all but the last
  OBJC_HOST_TENSORS_KINDS
};

OBJC_HOST_EXPORT void objc_host_set_tensors(int kind);

/// `count` calls, the first of them the number-th from now, return nil. count 0: none.
OBJC_HOST_EXPORT void objc_host_return_nil(int call, uint64_t number, uint64_t count);

/// Whether the device says that it has unified memory. Default 1.
OBJC_HOST_EXPORT void objc_host_set_unified_memory(int unified);

/// While on, encoding commits the work itself and leaves another, empty root command buffer, as MPSGraph may.
OBJC_HOST_EXPORT void objc_host_set_commit_during_encode(int on);

/// While off, what runs is checked as ever but gives zeros at once: for sizes that would take the host too long.
OBJC_HOST_EXPORT void objc_host_set_arithmetic(int on);

/// Chooses among what Apple leaves open, by words as in MPSMNIST_OBJC_HOST_MODE (README.md): "ties=last,loss-rank=1".
OBJC_HOST_EXPORT void objc_host_set_mode(const char* words);
/// The word chosen for `name`, such as "last" for "ties".
OBJC_HOST_EXPORT const char* objc_host_mode(const char* name);

#if defined(__cplusplus)
}
#endif
