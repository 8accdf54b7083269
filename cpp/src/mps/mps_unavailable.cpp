// Linked instead of the MPSGraph engine where there is no Metal.
#include "mps/mps_engine.h"

namespace mpsmnist::mps {

std::string unavailable_reason() { return "this build has no Metal support"; }

std::unique_ptr<Engine> make_engine(const EngineOptions&) { throw DeviceError("[mps device] " + unavailable_reason()); }

}  // namespace mpsmnist::mps
