// The CPU engine: the truth that the GPU engine is checked against.
#pragma once

#include <memory>

#include "engine.h"

namespace mpsmnist::cpu {

/// The facts of DeviceDescription: the instruction set of the kernels in use, and the cores that this process may use.
std::vector<Fact> describe();

/// Weights start as zeros: Trainer writes the initial values. Throws DeviceError if MPSMNIST_ISA asks for an
/// instruction set that this build or processor lacks.
std::unique_ptr<Engine> make_engine(const EngineOptions& options);

}  // namespace mpsmnist::cpu
