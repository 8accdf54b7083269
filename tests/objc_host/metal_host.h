// The host's objects behind Metal's protocols.
#pragma once

#import <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include <memory>
#include <vector>

#include "buffer_memory.h"

namespace objc_host {
class CommandQueue;
struct CommandBuffer;
class Plan;

/// One executable encoded in a command buffer, or what this root command buffer does of it.
struct Work {
  std::shared_ptr<const Plan> plan;
  std::vector<std::shared_ptr<BufferMemory>> feeds;
  std::vector<std::shared_ptr<BufferMemory>> results;
  std::shared_ptr<std::vector<std::vector<float>>> split{};  ///< of all roots: the results, which the first computes
  std::size_t root = 0;
  std::size_t roots = 1;
};

/// What the roots of one run know together: the first NSError.
struct Run;
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
- (instancetype)initWithQueue:(const std::shared_ptr<objc_host::CommandQueue>&)queue
                          run:(const std::shared_ptr<objc_host::Run>&)run;
- (void)encode:(objc_host::Work)work;
/// commit, by the host itself.
- (void)send;
- (void)setGraphHandler:(MPSGraphExecutableCompletionHandler)handler;
/// Returns when its handlers have returned.
- (void)waitForHandlers;
@end
