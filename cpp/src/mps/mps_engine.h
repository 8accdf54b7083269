// The MPSGraph engine, behind a header without Objective-C. A build without Metal links mps_unavailable.cpp instead.
//
// It has run over tests/objc_host on Linux, and it compiles against Apple's headers; it has never run on Apple
// hardware. `python -m mpsmnist.doctor` compares it with the CPU engine.
#pragma once

#include <memory>
#include <vector>

#include "engine.h"

namespace mpsmnist::mps {

/// Whether there is a GPU that the engine can use, and whether it is one that "auto" should.
Availability availability();

/// The facts of DeviceDescription about the GPU.
std::vector<Fact> describe();

/// Throws DeviceError if the device cannot be used. Weights start as zeros: Trainer writes the initial values.
std::unique_ptr<Engine> make_engine(const EngineOptions& options);

}  // namespace mpsmnist::mps
