// Which devices there are, and making an engine of one by its name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine.h"

namespace mpsmnist {

/// The device that `requested` stands for here: itself, or for "auto" the best one available. Throws ArgumentError for
/// a name that is not known.
std::string resolve_device(const std::string& requested);

/// The largest sizes that a device is known to compute rightly.
struct DeviceLimits {
  std::int64_t max_batch_size;
  std::int64_t max_classes;
  std::int64_t max_product_bytes;  ///< 4 (m + 2 k) n, for a product (m,k) x (k,n)

  /// Images of a step or of gradients; predictions come in chunks.
  std::int64_t largest_batch(int num_classes) const;
};

/// The limits of the device `name`, as resolve_device() returned it.
DeviceLimits device_limits(const std::string& name);

/// An engine on the device `name`, as resolve_device() returned it. Throws DeviceError if it is not available.
std::unique_ptr<Engine> make_engine(const std::string& name, const EngineOptions& options);

}  // namespace mpsmnist
