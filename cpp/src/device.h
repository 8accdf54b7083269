// Which devices there are, and making an engine of one by its name.
#pragma once

#include <memory>
#include <string>

#include "engine.h"

namespace mpsmnist {

/// The device that `requested` stands for here: itself, or for "auto" the best one available. Throws ArgumentError for
/// a name that is not known.
std::string resolve_device(const std::string& requested);

/// An engine on the device `name`, as resolve_device() returned it. Throws DeviceError if it is not available.
std::unique_ptr<Engine> make_engine(const std::string& name, const EngineOptions& options);

}  // namespace mpsmnist
