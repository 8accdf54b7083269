// The MPSGraph engine, behind a header without Objective-C. A build without Metal links mps_unavailable.cpp instead.
//
// It has run over tests/objc_host on Linux, and it compiles against Apple's headers; it has never run on Apple
// hardware. `python -m mpsmnist.doctor` compares it with the CPU engine.
#pragma once

#include <memory>
#include <string>

#include "engine.h"

namespace mpsmnist::mps {

/// Empty where device "mps" can be used; otherwise the reason why not, as a sentence.
std::string unavailable_reason();

/// Throws DeviceError if the device cannot be used. Weights start as zeros: Trainer writes the initial values.
std::unique_ptr<Engine> make_engine(const EngineOptions& options);

}  // namespace mpsmnist::mps
