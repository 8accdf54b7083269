// What the host's objects hold behind MPSGraph's classes.
#pragma once

#import <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include <memory>
#include <string>
#include <vector>

#include "control.h"
#include "graph.h"
#include "metal_host.h"

namespace objc_host {

/// Tensors are the graph's: one may outlive it, but not be used then.
struct Tensor {
  std::weak_ptr<Graph> graph;
  int node;
  Counted counted;
};

struct TensorData {
  std::shared_ptr<BufferMemory> memory;
  Shape shape;
  Counted counted;
};

struct Descriptor {
  Window window;
  Counted counted;
};

struct Executable {
  std::weak_ptr<Graph> graph;
  std::shared_ptr<const Plan> plan;
  std::vector<Shape> feed_shapes;
  std::vector<Shape> target_shapes;
  NSArray* feeds;    // of MPSGraphTensor, in the order of encodeToCommandBuffer:'s inputs
  NSArray* targets;  // the same for its results
  Counted counted;
};

Shape shape_of(NSArray* sides);
NSArray* array_of(const Shape& shape);
std::string text_of(NSString* text);
void require_float32(MPSDataType type, const char* where);

/// A permutation of 0..count-1 that is neither the identity nor its reverse where count > 2: Apple promises no order.
std::vector<NSUInteger> scrambled_order(NSUInteger count);

}  // namespace objc_host

@interface MPSGraphTensor (HostPrivate)
/// In the order in which the graph made them.
- (NSComparisonResult)compareNodes:(MPSGraphTensor*)other;
@end

@interface MPSGraph (HostPrivate)
/// Fails if the tensor is nil or another graph's.
- (int)nodeOf:(MPSGraphTensor*)tensor;
- (MPSGraphTensor*)tensorOf:(int)node;
- (MPSGraphTensor*)elementwise:(objc_host::Op)op
                       primary:(MPSGraphTensor*)primary
                     secondary:(MPSGraphTensor*)secondary
                          name:(NSString*)name;
@end

@interface MPSGraphCompilationDescriptor (HostPrivate)
/// Fails unless the options are those that the core means to set.
- (void)check;
@end
