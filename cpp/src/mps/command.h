// One run of a program as one command buffer: checked, encoded and committed, and its end reported.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mps/buffers.h"
#include "mps/executable.h"

namespace mpsmnist::mps {

/// Tensors in the order of a Graph's feeds or targets.
using TensorRefs = std::vector<const FloatTensor*>;

/// A run that is encoded and waits to be committed.
struct EncodedRun {
  MPSCommandBuffer* command;
  id<MTLCommandBuffer> first_root;  ///< the root before encoding
};

/// Throws DeviceError, with nothing sent to the GPU, if a tensor does not fit its port, if a target's buffer is also a
/// feed's, or if Metal has no command buffer.
EncodedRun encode(const Device& device, const Program& program, const TensorRefs& feeds, const TensorRefs& targets);

/// Nothing if the run completed, otherwise why it failed.
using RunFailure = std::optional<std::string>;

/// Sends the run to the GPU. `done` is called exactly once, on a thread of Metal's, and must not throw.
void commit(const EncodedRun& run, std::function<void(RunFailure)> done);

/// Sends the run to the GPU and waits for it; throws DeviceError with "[where] " before the reason if it fails.
void commit_and_wait(const EncodedRun& run, const std::string& where);

}  // namespace mpsmnist::mps
