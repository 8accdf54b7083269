// Compiling a graph, and encoding what was compiled.
#include <algorithm>
#include <set>
#include <utility>

#include "fatal.h"
#include "faults.h"
#import "graph_host.h"
#include "plan.h"

using objc_host::fail;
using objc_host::Shape;

namespace objc_host {

std::vector<NSUInteger> scrambled_order(NSUInteger count) {
  std::vector<NSUInteger> order;
  for (NSUInteger i = 1; i < count; i += 2) order.push_back(i);
  for (NSUInteger i = 0; i < count; i += 2) order.push_back(i);
  return order;
}

namespace {

std::string position(const char* what, NSUInteger index, const Shape& shape) {
  return std::string(what) + " " + std::to_string(index) + " of shape " + to_string(shape);
}

// The buffers of inputsArray or resultsArray, checked against what the executable takes there.
std::vector<std::shared_ptr<BufferMemory>> buffers_of(NSArray* data, const std::vector<Shape>& shapes,
                                                      const char* what) {
  if (data == nil) fail(std::string("encode: the array of ") + what + "s is nil");
  if ([data count] != shapes.size()) {
    fail("encode: " + std::to_string([data count]) + " " + what + "s given, " + std::to_string(shapes.size()) +
         " expected");
  }
  std::vector<std::shared_ptr<BufferMemory>> buffers;
  for (NSUInteger i = 0; i < [data count]; ++i) {
    const TensorData* entry = static_cast<MPSGraphTensorData*>([data objectAtIndex:i])->host_;
    if (entry->shape != shapes[i]) {
      fail("encode: " + position(what, i, entry->shape) + ", expected " + to_string(shapes[i]));
    }
    buffers.push_back(entry->memory);
  }
  return buffers;
}

void check_aliasing(const Work& work) {
  std::set<const BufferMemory*> results;
  for (std::size_t i = 0; i < work.results.size(); ++i) {
    const auto& result = work.results[i];
    if (!results.insert(result.get()).second) fail("encode: result " + std::to_string(i) + " aliases another result");
    const auto feed = std::find(work.feeds.begin(), work.feeds.end(), result);
    if (feed != work.feeds.end()) {
      fail("encode: result " + std::to_string(i) + " aliases feed " + std::to_string(feed - work.feeds.begin()));
    }
  }
}

NSArray* scrambled(NSArray* objects) {
  NSMutableArray* result = [NSMutableArray arrayWithCapacity:[objects count]];
  for (const NSUInteger i : scrambled_order([objects count])) [result addObject:[objects objectAtIndex:i]];
  return result;
}

HostCommandBuffer* root_of(MPSCommandBuffer* command) {
  return static_cast<HostCommandBuffer*>(command.rootCommandBuffer);
}

// In several root command buffers, all but the last of which are committed here, if a test asks for it.
void encode_in_roots(Work work, const std::vector<Shape>& result_shapes, MPSCommandBuffer* command) {
  work.roots = static_cast<std::size_t>(roots());
  if (work.roots > 1) {
    work.split = std::make_shared<std::vector<std::vector<float>>>();
    for (const Shape& shape : result_shapes) work.split->emplace_back(size_of(shape));
  }
  HostCommandBuffer* const first = root_of(command);
  for (; work.root + 1 < work.roots; ++work.root) {
    [root_of(command) encode:work];
    throw_if_asked(OBJC_HOST_NEXT_ROOT);
    [command commitAndContinue];
  }
  [root_of(command) encode:work];
  if (work.roots > 1 && first_root_completes()) [first waitForHandlers];
}

MPSGraphTensor* copy_of(MPSGraphTensor* tensor) {
  MPSGraphTensor* copy = [[[MPSGraphTensor alloc] init] autorelease];
  copy->host_ = new Tensor(*tensor->host_);
  return copy;
}

// What feedTensors or targetTensors return.
NSArray* reported(NSArray* tensors) {
  switch (reported_tensors()) {
    case OBJC_HOST_TENSORS_COPIED: {
      NSMutableArray* copies = [NSMutableArray arrayWithCapacity:[tensors count]];
      for (MPSGraphTensor* tensor in tensors) [copies addObject:copy_of(tensor)];
      return copies;
    }
    case OBJC_HOST_TENSORS_MISSING:
      return [tensors subarrayWithRange:NSMakeRange(0, [tensors count] - 1)];
    default:
      return tensors;
  }
}

}  // namespace
}  // namespace objc_host

@implementation MPSGraphDevice

+ (instancetype)deviceWithMTLDevice:(id<MTLDevice>)metalDevice {
  if (metalDevice == nil) fail("deviceWithMTLDevice: the device is nil");
  objc_host::count(OBJC_HOST_LIVE_OBJECTS);
  return [[[self alloc] init] autorelease];
}

- (void)dealloc {
  objc_host::count(OBJC_HOST_LIVE_OBJECTS, -1);
  [super dealloc];
}

@end

@implementation MPSGraphShapedType

@synthesize shape = shape_;
@synthesize dataType = dataType_;

- (instancetype)initWithShape:(MPSShape*)shape dataType:(MPSDataType)dataType {
  self = [super init];
  objc_host::require_float32(dataType, "MPSGraphShapedType");
  shape_ = [shape copy];
  dataType_ = dataType;
  objc_host::count(OBJC_HOST_LIVE_OBJECTS);
  return self;
}

- (void)dealloc {
  [shape_ release];
  objc_host::count(OBJC_HOST_LIVE_OBJECTS, -1);
  [super dealloc];
}

- (id)copyWithZone:(NSZone*)zone {
  return [[MPSGraphShapedType allocWithZone:zone] initWithShape:shape_ dataType:dataType_];
}

@end

@implementation MPSGraphTensorData

- (instancetype)initWithMTLBuffer:(id<MTLBuffer>)buffer shape:(MPSShape*)shape dataType:(MPSDataType)dataType {
  self = [super init];
  if (buffer == nil || shape == nil) fail("MPSGraphTensorData: the buffer or the shape is nil");
  objc_host::require_float32(dataType, "MPSGraphTensorData");
  const Shape sides = objc_host::shape_of(shape);
  const auto bytes = static_cast<std::size_t>(objc_host::size_of(sides)) * sizeof(float);
  if ([buffer length] < bytes) {
    fail("MPSGraphTensorData: buffer too small: " + std::to_string([buffer length]) + " bytes for shape " +
         objc_host::to_string(sides));
  }
  if (objc_host::returns_nil(OBJC_HOST_TENSOR_DATA)) {
    [self release];
    return nil;
  }
  host_ =
      new objc_host::TensorData{.memory = *static_cast<HostBuffer*>(buffer)->memory_, .shape = sides, .counted = {}};
  return self;
}

- (void)dealloc {
  delete host_;
  [super dealloc];
}

@end

@implementation MPSGraphCompilationDescriptor

@synthesize optimizationLevel = optimizationLevel_;
@synthesize waitForCompilationCompletion = waitForCompilationCompletion_;

- (instancetype)init {
  self = [super init];
  optimizationLevel_ = MPSGraphOptimizationLevel1;  // newer systems' default
  reducedPrecisionFastMath_ = 1;
  objc_host::count(OBJC_HOST_LIVE_OBJECTS);
  return self;
}

- (void)dealloc {
  objc_host::count(OBJC_HOST_LIVE_OBJECTS, -1);
  [super dealloc];
}

// A property of newer systems, which the core finds by name.
- (void)setReducedPrecisionFastMath:(NSUInteger)value {
  reducedPrecisionFastMath_ = value;
}

- (void)setValue:(id)value forUndefinedKey:(NSString*)key {
  (void)value;
  fail("MPSGraphCompilationDescriptor: this system has no " + objc_host::text_of(key));
}

- (BOOL)respondsToSelector:(SEL)selector {
  if (sel_isEqual(selector, @selector(setReducedPrecisionFastMath:))) return objc_host::mode().has_fast_math();
  return [super respondsToSelector:selector];
}

- (void)check {
  if (optimizationLevel_ != MPSGraphOptimizationLevel0) fail("compile: optimizationLevel is not Level0");
  if (!waitForCompilationCompletion_) fail("compile: waitForCompilationCompletion is not YES");
  if (objc_host::mode().has_fast_math() && reducedPrecisionFastMath_ != 0)
    fail("compile: reducedPrecisionFastMath is not 0");
}

@end

@interface MPSGraphExecutableExecutionDescriptor (HostPrivate)
/// Fails unless the options are those that the core means to set.
- (void)check;
@end

@implementation MPSGraphExecutableExecutionDescriptor

- (instancetype)init {
  self = [super init];
  enableCommitAndContinue_ = YES;
  objc_host::count(OBJC_HOST_LIVE_OBJECTS);
  return self;
}

- (void)dealloc {
  if (completionHandler_ != nil) Block_release(completionHandler_);
  objc_host::count(OBJC_HOST_LIVE_OBJECTS, -1);
  [super dealloc];
}

- (MPSGraphExecutableCompletionHandler)completionHandler {
  return completionHandler_;
}

- (void)setCompletionHandler:(MPSGraphExecutableCompletionHandler)handler {
  completionHandler_ = Block_copy(handler);
}

// In no public header: the core finds it by name.
- (void)setEnableCommitAndContinue:(BOOL)value {
  enableCommitAndContinue_ = value;
}

- (void)check {
  if (enableCommitAndContinue_) fail("encode: enableCommitAndContinue is not NO");
}

@end

@interface MPSGraphExecutable (HostPrivate)
- (instancetype)initWithHost:(objc_host::Executable*)host;
@end

@implementation MPSGraph (HostCompile)

- (MPSGraphExecutable*)compileWithDevice:(MPSGraphDevice*)device
                                   feeds:(NSDictionary*)feeds
                           targetTensors:(NSArray*)targetTensors
                        targetOperations:(NSArray*)targetOperations
                   compilationDescriptor:(MPSGraphCompilationDescriptor*)descriptor {
  if (device == nil) fail("compile: the device is nil");
  if (descriptor == nil) fail("compile: the descriptor is nil");
  [descriptor check];
  if ([targetOperations count] > 0) fail("compile: targetOperations are not implemented");
  if ([targetTensors count] == 0) fail("compile: no targets");
  if ([[NSSet setWithArray:targetTensors] count] != [targetTensors count]) fail("compile: a target is given twice");
  if (objc_host::returns_nil(OBJC_HOST_COMPILE)) return nil;

  const std::shared_ptr<objc_host::Graph>& graph = *host_;
  auto executable = std::make_unique<objc_host::Executable>();
  executable->graph = graph;
  NSArray* ordered = [[feeds allKeys] sortedArrayUsingSelector:@selector(compareNodes:)];
  executable->feeds = [objc_host::scrambled(ordered) retain];
  executable->targets = [objc_host::scrambled(targetTensors) retain];
  std::vector<int> feed_nodes;
  for (MPSGraphTensor* feed in executable->feeds) {
    const objc_host::Node& node = (*graph)[[self nodeOf:feed]];
    const Shape given = objc_host::shape_of([[feeds objectForKey:feed] shape]);
    if (node.op != objc_host::Op::kPlaceholder) fail("compile: feed '" + node.name + "' is not a placeholder");
    if (given != node.shape) {
      fail("compile: feed " + graph->describe(feed->host_->node) + " given as " + objc_host::to_string(given));
    }
    feed_nodes.push_back(feed->host_->node);
    executable->feed_shapes.push_back(given);
  }
  std::vector<int> target_nodes;
  for (MPSGraphTensor* target in executable->targets) {
    graph->check_target([self nodeOf:target]);
    target_nodes.push_back(target->host_->node);
    executable->target_shapes.push_back((*graph)[target->host_->node].shape);
  }
  objc_host::plant_in_compile(executable->feed_shapes, executable->target_shapes.size());
  executable->plan = std::make_shared<const objc_host::Plan>(*graph, feed_nodes, target_nodes);
  objc_host::count(OBJC_HOST_COMPILED);
  return [[[MPSGraphExecutable alloc] initWithHost:executable.release()] autorelease];
}

@end

@implementation MPSGraphExecutable

@synthesize options = options_;

- (instancetype)initWithHost:(objc_host::Executable*)host {
  self = [super init];
  host_ = host;
  options_ = MPSGraphOptionsSynchronizeResults;
  return self;
}

- (void)dealloc {
  [host_->feeds release];
  [host_->targets release];
  delete host_;
  [super dealloc];
}

- (NSArray*)feedTensors {
  return objc_host::reported(host_->feeds);
}

- (NSArray*)targetTensors {
  return objc_host::reported(host_->targets);
}

- (NSArray*)encodeToCommandBuffer:(MPSCommandBuffer*)commandBuffer
                      inputsArray:(NSArray*)inputsArray
                     resultsArray:(NSArray*)resultsArray
              executionDescriptor:(MPSGraphExecutableExecutionDescriptor*)descriptor {
  if (commandBuffer == nil) fail("encode: the command buffer is nil");
  objc_host::throw_if_asked(OBJC_HOST_ENCODE);
  if (host_->graph.expired()) fail("encode: the executable's MPSGraph is gone");
  [descriptor check];
  objc_host::Work work{.plan = host_->plan,
                       .feeds = objc_host::buffers_of(inputsArray, host_->feed_shapes, "feed"),
                       .results = objc_host::buffers_of(resultsArray, host_->target_shapes, "result")};
  objc_host::check_aliasing(work);
  objc_host::encode_in_roots(std::move(work), host_->target_shapes, commandBuffer);
  if (descriptor.completionHandler != nil) {
    [objc_host::root_of(commandBuffer) setGraphHandler:descriptor.completionHandler];
  }
  objc_host::count(OBJC_HOST_ENCODES);
  objc_host::count(OBJC_HOST_OPERATIONS, host_->plan->operations());
  return resultsArray;
}

@end
