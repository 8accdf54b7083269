// The GPU that the engine uses, and its one command queue.
#pragma once

#import <Metal/Metal.h>
#import <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include "mps/autorelease.h"

namespace mpsmnist::mps {

struct Device {
  id<MTLDevice> metal;
  id<MTLCommandQueue> queue;
  MPSGraphDevice* graph;
};

/// Throws DeviceError with unavailable_reason() if there is no usable GPU.
Device open_device();

}  // namespace mpsmnist::mps
