// Metal: the device, buffers, command queues and command buffers.
#import "metal_host.h"

#import <Foundation/NSDebug.h>
#import <MetalPerformanceShaders/MetalPerformanceShaders.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "command_queue.h"
#include "fatal.h"
#include "plan.h"

namespace objc_host {

struct CommandBuffer {
  std::shared_ptr<CommandQueue> queue;
  std::vector<Work> work;
  std::vector<MTLCommandBufferHandler> handlers;  // copied blocks
  std::mutex mutex;                               // guards what follows
  std::condition_variable finished;
  MTLCommandBufferStatus status = MTLCommandBufferStatusNotEnqueued;
  NSError* error = nil;
  Counted counted;
};

namespace {

constexpr NSUInteger kMaxBufferLength = NSUInteger{1} << 32;

void begin(const Work& work, int queue) {
  for (const auto& feed : work.feeds) feed->begin_read(queue);
  for (const auto& result : work.results) result->begin_write(queue);
}

void end(const Work& work) {
  for (const auto& feed : work.feeds) feed->end_read();
  for (const auto& result : work.results) result->end_write();
}

void execute(const Work& work) {
  std::vector<const float*> feeds;
  std::vector<float*> results;
  for (const auto& feed : work.feeds) feeds.push_back(feed->device());
  for (const auto& result : work.results) results.push_back(result->device());
  work.plan->run(feeds, results);
}

NSError* error_with_text(const std::string& text) {
  NSDictionary* info = [NSDictionary dictionaryWithObject:[NSString stringWithUTF8String:text.c_str()]
                                                   forKey:NSLocalizedDescriptionKey];
  return [[NSError alloc] initWithDomain:@"MTLCommandBufferErrorDomain" code:1 userInfo:info];
}

// On the queue's device thread. After a fault nothing is known of the results: garbage is the worst they can hold.
void execute_all(CommandBuffer& buffer, const std::optional<CommitFault>& fault) {
  wait_while_held();
  std::this_thread::sleep_for(next_execute_delay());
  for (const Work& work : buffer.work) {
    if (fault) {
      for (const auto& result : work.results) result->fill_with_nans();
    } else {
      execute(work);
    }
    end(work);
  }
  buffer.work.clear();
  const std::lock_guard lock(buffer.mutex);
  if (fault && fault->text) buffer.error = error_with_text(*fault->text);
  buffer.status = fault ? MTLCommandBufferStatusError : MTLCommandBufferStatusCompleted;
  buffer.finished.notify_all();
}

// On the queue's handler thread.
void call_handlers(HostCommandBuffer* object, CommandBuffer& buffer) {
  std::this_thread::sleep_for(next_handler_delay());
  for (MTLCommandBufferHandler handler : buffer.handlers) {
    handler(object);
    Block_release(handler);
  }
  buffer.handlers.clear();
}

}  // namespace

std::int64_t objective_c_objects() {
  std::int64_t objects = 0;
  Class* classes = GSDebugAllocationClassList();
  for (Class* each = classes; *each != nil; ++each) objects += GSDebugAllocationCount(*each);
  NSZoneFree(NSDefaultMallocZone(), classes);
  return objects;
}

}  // namespace objc_host

using objc_host::fail;

namespace {

// Each GPU is one object for the life of the process.
HostDevice* gpu_of(objc_host_gpu kind) {
  static const auto& all = *new std::array<HostDevice*, OBJC_HOST_GPUS>([] {
    GSDebugAllocationActive(YES);
    std::array<HostDevice*, OBJC_HOST_GPUS> made;
    for (int i = 0; i < OBJC_HOST_GPUS; ++i) {
      made[i] = [[HostDevice alloc] init];
      made[i]->kind_ = static_cast<objc_host_gpu>(i);
    }
    return made;
  }());
  return all[kind];
}

}  // namespace

id<MTLDevice> MTLCreateSystemDefaultDevice(void) {
  if (objc_host::returns_nil(OBJC_HOST_DEVICE) || !objc_host::has_default_gpu()) return nil;
  return [gpu_of(objc_host::gpus().front()) retain];
}

NSArray<id<MTLDevice>>* MTLCopyAllDevices(void) {
  NSMutableArray* all = [[NSMutableArray alloc] init];
  if (objc_host::returns_nil(OBJC_HOST_ALL_DEVICES)) return all;
  for (const objc_host_gpu kind : objc_host::gpus()) [all addObject:gpu_of(kind)];
  return all;
}

@implementation HostDevice

- (NSString*)name {
  switch (kind_) {
    case OBJC_HOST_GPU_PARAVIRTUAL:
      return @"Apple Paravirtual device";
    case OBJC_HOST_GPU_INTEL:
      return @"Intel(R) Iris(TM) Plus Graphics";
    case OBJC_HOST_GPU_DISCRETE:
      return @"AMD Radeon Pro 5500M";
    default:
      return @"objc_host";
  }
}

- (BOOL)hasUnifiedMemory {
  return kind_ != OBJC_HOST_GPU_DISCRETE;
}

- (BOOL)supportsFamily:(MTLGPUFamily)family {
  if (family == 2002) return kind_ != OBJC_HOST_GPU_PARAVIRTUAL;  // Mac2
  const NSInteger newest_apple = kind_ == OBJC_HOST_GPU_APPLE ? 1007 : kind_ == OBJC_HOST_GPU_PARAVIRTUAL ? 1005 : 0;
  return family > 1000 && family <= newest_apple;
}

- (uint64_t)registryID {
  return 1 + static_cast<uint64_t>(kind_);
}

- (uint64_t)recommendedMaxWorkingSetSize {
  return objc_host::kMaxBufferLength;
}

- (NSUInteger)currentAllocatedSize {
  return static_cast<NSUInteger>(objc_host_count(OBJC_HOST_LIVE_BYTES));
}

- (NSUInteger)maxBufferLength {
  return objc_host::kMaxBufferLength;
}

- (id<MTLCommandQueue>)newCommandQueue {
  return objc_host::returns_nil(OBJC_HOST_QUEUE) ? nil : [[HostCommandQueue alloc] init];
}

- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  if (length == 0) fail("newBufferWithLength: the length is 0");
  if (options != MTLResourceStorageModeShared)
    fail("newBufferWithLength: only MTLResourceStorageModeShared is implemented");
  if (objc_host::returns_nil(OBJC_HOST_BUFFER) || length > objc_host::kMaxBufferLength) return nil;
  HostBuffer* buffer = [[HostBuffer alloc] init];
  buffer->memory_ = new std::shared_ptr(std::make_shared<objc_host::BufferMemory>(length));
  return buffer;
}

@end

@implementation HostBuffer

- (void)dealloc {
  delete memory_;
  [super dealloc];
}

- (NSUInteger)length {
  return (*memory_)->length();
}

- (void*)contents {
  return (*memory_)->contents();
}

@end

@implementation HostCommandQueue

- (instancetype)init {
  self = [super init];
  queue_ = new std::shared_ptr(std::make_shared<objc_host::CommandQueue>());
  return self;
}

- (void)dealloc {
  delete queue_;
  [super dealloc];
}

@end

@implementation HostCommandBuffer

- (instancetype)initWithQueue:(const std::shared_ptr<objc_host::CommandQueue>&)queue {
  self = [super init];
  host_ = new objc_host::CommandBuffer();
  host_->queue = queue;
  return self;
}

- (void)dealloc {
  for (const objc_host::Work& work : host_->work) objc_host::end(work);  // never committed
  for (MTLCommandBufferHandler handler : host_->handlers) Block_release(handler);
  [host_->error release];
  delete host_;
  [super dealloc];
}

- (void)encode:(objc_host::Work)work {
  if (self.status != MTLCommandBufferStatusNotEnqueued) fail("encode: the command buffer is already committed");
  objc_host::begin(work, host_->queue->number());
  host_->work.push_back(std::move(work));
  objc_host::count(OBJC_HOST_ENCODES);
}

- (void)addCompletedHandler:(MTLCommandBufferHandler)block {
  if (self.status != MTLCommandBufferStatusNotEnqueued) fail("addCompletedHandler: the command buffer is committed");
  host_->handlers.push_back(Block_copy(block));
}

- (void)commit {
  {
    const std::lock_guard lock(host_->mutex);
    if (host_->status != MTLCommandBufferStatusNotEnqueued) fail("commit: the command buffer is already committed");
    host_->status = MTLCommandBufferStatusCommitted;
  }
  objc_host::count(OBJC_HOST_COMMITS);
  objc_host::count(OBJC_HOST_IN_FLIGHT);
  [self retain];  // until its handlers have returned
  host_->queue->device().put([self, fault = objc_host::next_commit_fault()] {
    objc_host::execute_all(*host_, fault);
    host_->queue->handlers().put([self] {
      objc_host::call_handlers(self, *host_);
      [self release];
      objc_host::count(OBJC_HOST_IN_FLIGHT, -1);
    });
  });
}

- (void)waitUntilCompleted {
  std::unique_lock lock(host_->mutex);
  if (host_->status == MTLCommandBufferStatusNotEnqueued)
    fail("waitUntilCompleted: the command buffer is not committed");
  host_->finished.wait(lock, [self] { return host_->status >= MTLCommandBufferStatusCompleted; });
}

- (MTLCommandBufferStatus)status {
  const std::lock_guard lock(host_->mutex);
  return host_->status;
}

- (NSError*)error {
  const std::lock_guard lock(host_->mutex);
  return [[host_->error retain] autorelease];
}

@end

@implementation MPSCommandBuffer

+ (instancetype)commandBufferFromCommandQueue:(id<MTLCommandQueue>)commandQueue {
  if (commandQueue == nil) fail("commandBufferFromCommandQueue: the queue is nil");
  if (objc_host::returns_nil(OBJC_HOST_COMMAND_BUFFER)) return nil;
  MPSCommandBuffer* buffer = [[[self alloc] init] autorelease];
  buffer->root_ = [[HostCommandBuffer alloc] initWithQueue:*static_cast<HostCommandQueue*>(commandQueue)->queue_];
  return buffer;
}

- (void)dealloc {
  [root_ release];
  [super dealloc];
}

- (id<MTLCommandBuffer>)rootCommandBuffer {
  return [[root_ retain] autorelease];
}

- (void)commitAndContinue {
  HostCommandBuffer* next = [[HostCommandBuffer alloc] initWithQueue:root_->host_->queue];
  [root_ commit];
  [root_ release];
  root_ = next;
}

- (void)commit {
  [root_ commit];
}

- (void)addCompletedHandler:(MTLCommandBufferHandler)block {
  [root_ addCompletedHandler:block];
}

- (void)waitUntilCompleted {
  [root_ waitUntilCompleted];
}

- (MTLCommandBufferStatus)status {
  return root_.status;
}

- (NSError*)error {
  return root_.error;
}

@end
