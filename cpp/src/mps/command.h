// One run of a program as one command buffer: checked, encoded and committed, and its end reported.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mps/buffers.h"
#include "mps/executable.h"
#include "mps/run_end.h"

namespace mpsmnist::mps {

/// Tensors in the order of a Graph's feeds or targets.
using TensorRefs = std::vector<const FloatTensor*>;

/// A run that is encoded and waits to be committed.
struct EncodedRun {
  MPSCommandBuffer* command;
  std::int64_t command_buffers;  ///< root command buffers, all but the last of which MPSGraph has committed already
  std::shared_ptr<RunEnd> end;
};

/// Throws DeviceError, with nothing left on the GPU, if a tensor does not fit its port, if a target's buffer is also a
/// feed's, if Metal has no command buffer, or if Apple's frameworks raise an exception.
EncodedRun encode(const Device& device, const Program& program, const TensorRefs& feeds, const TensorRefs& targets);

/// Sends the run to the GPU. `done` is called exactly once, mostly on a thread of Metal's, and must not throw. The
/// targets' memory must stay until then.
void commit(const Device& device, const EncodedRun& run, std::function<void(RunFailure)> done);

/// Sends the run to the GPU and waits for it; throws DeviceError with "[where] " before the reason if it fails.
void commit_and_wait(const Device& device, const EncodedRun& run, const std::string& where);

}  // namespace mpsmnist::mps
