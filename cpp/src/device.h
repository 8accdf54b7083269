// Which engines this machine has, and making one by name.
#pragma once

#include <memory>
#include <string>

#include "engine.h"

namespace mpsmnist {

/// The device that `requested` ("auto", "mps", "cpu") stands for here. Throws ArgumentError for another name.
std::string resolve_device(const std::string& requested);

/// An engine on `device`, as resolve_device() returned it.
std::unique_ptr<Engine> make_engine(const std::string& device, const EngineOptions& options);

}  // namespace mpsmnist
