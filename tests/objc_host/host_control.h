// Controls of the host implementation: delays, faults and counters. Plain C, so that Python reaches it with ctypes.
//
// All functions may be called from any thread. "Number" counts from 1, from the call that asks for the fault.
#pragma once

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define OBJC_HOST_EXPORT __attribute__((visibility("default")))

/// What can be made to return nil, as far as it has a result that may be, and to throw.
enum objc_host_call {
  OBJC_HOST_DEVICE = 0,          ///< MTLCreateSystemDefaultDevice()
  OBJC_HOST_QUEUE = 1,           ///< -[MTLDevice newCommandQueue]
  OBJC_HOST_BUFFER = 2,          ///< -[MTLDevice newBufferWithLength:options:]
  OBJC_HOST_COMMAND_BUFFER = 3,  ///< +[MPSCommandBuffer commandBufferFromCommandQueue:]
  OBJC_HOST_TENSOR_DATA = 4,     ///< -[MPSGraphTensorData initWithMTLBuffer:shape:dataType:]
  OBJC_HOST_DESCRIPTOR = 5,      ///< both +descriptorWith... of convolution and pooling
  OBJC_HOST_COMPILE = 6,         ///< -[MPSGraph compileWithDevice:...]
  OBJC_HOST_ALL_DEVICES = 7,     ///< MTLCopyAllDevices(): an empty array
  OBJC_HOST_FAMILY = 8,          ///< -[MTLDevice supportsFamily:]; throws only, as does all that follows
  OBJC_HOST_CONTENTS = 9,        ///< -[MTLBuffer contents]
  OBJC_HOST_OPERATION = 10,      ///< the methods of MPSGraph that make a tensor
  OBJC_HOST_ENCODE = 11,         ///< -[MPSGraphExecutable encodeToCommandBuffer:...]
  OBJC_HOST_NEXT_ROOT = 12,      ///< in it, before MPSGraph commits a root and goes on in another
  OBJC_HOST_ADD_HANDLER = 13,    ///< -[MTLCommandBuffer addCompletedHandler:]
  OBJC_HOST_COMMIT = 14,         ///< -[MTLCommandBuffer commit], of the program
  OBJC_HOST_STATUS = 15,         ///< -[MTLCommandBuffer status]
  OBJC_HOST_COMMITTED = 16,      ///< a root's commit, by the program or MPSGraph, after the root has been sent
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
  OBJC_HOST_LIVE_BYTES = 8,         ///< bytes of the MTLBuffers that exist now
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

/// Kinds of GPUs.
enum objc_host_gpu {
  OBJC_HOST_GPU_APPLE = 0,        ///< Apple silicon, as an M1: families up to Apple7, unified memory
  OBJC_HOST_GPU_PARAVIRTUAL = 1,  ///< a virtual machine's on Apple silicon: up to Apple5, unified memory
  OBJC_HOST_GPU_INTEL = 2,        ///< Intel's in a processor: Mac2, unified memory
  OBJC_HOST_GPU_DISCRETE = 3,     ///< a card: Mac2, memory of its own
  OBJC_HOST_GPUS
};

/// The number-th call from now throws an NSException of this name and with this reason, or, with NULL, one whose name
/// and reason are nil; but for OBJC_HOST_COMMITTED, before it has done anything.
OBJC_HOST_EXPORT void objc_host_throw(int call, uint64_t number, const char* name, const char* reason);

/// The GPUs of this machine: `count` kinds, each at most once. Without a default, MTLCreateSystemDefaultDevice()
/// returns nil, as it does under ssh; with one it is the first. At the start: OBJC_HOST_GPU_APPLE, the default.
OBJC_HOST_EXPORT void objc_host_set_gpus(const int* kinds, int count, int has_default);

/// Encoding splits a run into this many root command buffers, as MPSGraph may, and commits all but the last; each root
/// writes its share of the results. Default 1. With `first_completes`, encoding returns only when the first has
/// completed and its handlers have returned.
OBJC_HOST_EXPORT void objc_host_set_roots(int roots, int first_completes);

/// When MPSGraph's completion handler is called, and with what. Apple promises neither.
enum objc_host_graph_handler {
  OBJC_HOST_GRAPH_HANDLER_FIRST = 0,   ///< before those of the last root, with the first NSError of the run's roots
  OBJC_HOST_GRAPH_HANDLER_LAST = 1,    ///< after them, with the same
  OBJC_HOST_GRAPH_HANDLER_UNTOLD = 2,  ///< before them, and never with an NSError
  OBJC_HOST_GRAPH_HANDLER_NEVER = 3,   ///< not at all
  OBJC_HOST_GRAPH_HANDLER_TWICE = 4,   ///< before them, without an NSError and then with that one
  OBJC_HOST_GRAPH_HANDLERS
};

OBJC_HOST_EXPORT void objc_host_set_graph_handler(int kind);

/// While off, what runs is checked as ever but gives zeros at once: for sizes that would take the host too long.
OBJC_HOST_EXPORT void objc_host_set_arithmetic(int on);

/// Chooses among what Apple leaves open, by words as in MPSMNIST_OBJC_HOST_MODE (README.md): "ties=last,loss-rank=1".
OBJC_HOST_EXPORT void objc_host_set_mode(const char* words);
/// The word chosen for `name`, such as "last" for "ties".
OBJC_HOST_EXPORT const char* objc_host_mode(const char* name);

#if defined(__cplusplus)
}
#endif
