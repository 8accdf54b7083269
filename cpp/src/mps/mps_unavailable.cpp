// Linked instead of the MPSGraph engine where there is no Metal.
#include "mps/mps_engine.h"

namespace mpsmnist::mps {

constexpr char kReason[] = "this build has no Metal support";

Availability availability() { return {.unavailable = kReason, .passed_over = ""}; }
std::vector<Fact> describe() { return {{"unavailable", kReason}}; }
std::unique_ptr<Engine> make_engine(const EngineOptions&) { throw DeviceError(std::string("[mps device] ") + kReason); }

}  // namespace mpsmnist::mps
