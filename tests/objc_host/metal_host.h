// The host's objects behind Metal's protocols.
#pragma once

#import <Metal/Metal.h>

#include <memory>
#include <vector>

#include "buffer_memory.h"

namespace objc_host {
class CommandQueue;
struct CommandBuffer;
class Plan;

/// One executable encoded in a command buffer.
struct Work {
  std::shared_ptr<const Plan> plan;
  std::vector<std::shared_ptr<BufferMemory>> feeds;
  std::vector<std::shared_ptr<BufferMemory>> results;
};
}  // namespace objc_host

@interface HostDevice : NSObject <MTLDevice> {
 @public
  objc_host_gpu kind_;
}
@end

@interface HostBuffer : NSObject <MTLBuffer> {
 @public
  std::shared_ptr<objc_host::BufferMemory>* memory_;
}
@end

@interface HostCommandQueue : NSObject <MTLCommandQueue> {
 @public
  std::shared_ptr<objc_host::CommandQueue>* queue_;
}
@end

@interface HostCommandBuffer : NSObject <MTLCommandBuffer> {
 @public
  objc_host::CommandBuffer* host_;
}
- (instancetype)initWithQueue:(const std::shared_ptr<objc_host::CommandQueue>&)queue;
- (void)encode:(objc_host::Work)work;
@end
