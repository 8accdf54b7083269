#include "mps/device.h"

#include <cstdint>
#include <string>

#include "fork.h"
#include "mps/mps_engine.h"

namespace mpsmnist::mps {
namespace {

/// Why `device` cannot be used; empty if it can. The engine reads and writes GPU buffers in place, so the GPU must
/// share the host's memory.
std::string objection_to(id<MTLDevice> device) {
  if (device == nil) {
    return "Metal found no GPU on this machine";
  }
  if (!device.hasUnifiedMemory) {
    return "the GPU \"" + std::string([device.name UTF8String]) +
           "\" has memory of its own, and device \"mps\" needs one that shares the host's, as on Apple silicon";
  }
  return "";
}

}  // namespace

std::string unavailable_reason() {
  static const std::uint64_t forks = fork_count();  // when this process, or its parent, first used Metal
  if (fork_count() != forks) {
    return "Metal cannot be used in a forked child: start processes by spawning them";
  }
  return with_autorelease_pool([] { return objection_to(MTLCreateSystemDefaultDevice()); });
}

Device open_device() {
  Device device;
  device.metal = MTLCreateSystemDefaultDevice();
  if (const std::string objection = objection_to(device.metal); !objection.empty()) {
    throw DeviceError("[mps device] " + objection);
  }
  device.queue = require([device.metal newCommandQueue], "[mps device] Metal returned no command queue");
  device.graph = require([MPSGraphDevice deviceWithMTLDevice:device.metal], "[mps device] MPSGraph refused the GPU");
  return device;
}

}  // namespace mpsmnist::mps
