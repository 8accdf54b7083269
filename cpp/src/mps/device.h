// The GPU that the engine uses, and its one command queue.
#pragma once

#import <Metal/Metal.h>
#import <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include <memory>

#include "mps/autorelease.h"
#include "mps/counters.h"

namespace mpsmnist::mps {

struct Device {
  id<MTLDevice> metal;
  id<MTLCommandQueue> queue;
  MPSGraphDevice* graph;
  std::shared_ptr<Counters> counters;  ///< shared with the handlers of runs in flight
};

/// Throws DeviceError with availability()'s reason if there is no usable GPU.
Device open_device();

}  // namespace mpsmnist::mps
