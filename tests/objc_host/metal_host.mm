// Metal: the device, buffers, command queues and command buffers.
#import "metal_host.h"

#import <Foundation/NSDebug.h>
#import <MetalPerformanceShaders/MetalPerformanceShaders.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "command_queue.h"
#include "fatal.h"
#include "faults.h"
#include "plan.h"

namespace objc_host {

struct Run {
  std::mutex mutex;
  NSError* error = nil;

  ~Run() { [error release]; }
};

struct CommandBuffer {
  std::shared_ptr<CommandQueue> queue;
  std::shared_ptr<Run> run;
  std::vector<Work> work;
  std::vector<MTLCommandBufferHandler> handlers;            // copied blocks
  MPSGraphExecutableCompletionHandler graph_handler = nil;  // MPSGraph's own
  NSString* label = nil;
  std::mutex mutex;  // guards what follows
  std::condition_variable finished;
  MTLCommandBufferStatus status = MTLCommandBufferStatusNotEnqueued;
  NSError* error = nil;
  bool handled = false;
  CFTimeInterval gpu_start = 0;
  CFTimeInterval gpu_end = 0;
  Counted counted;
};

namespace {

constexpr NSUInteger kMaxBufferLength = NSUInteger{1} << 32;

// If that fault is planted: what earlier command buffers in flight have yet to write is read as it is now.
void read_too_early(Work& work) {
  if (!reads_too_early()) return;
  for (auto& feed : work.feeds) {
    if (auto copy = feed->copied_too_early()) feed = std::move(copy);
  }
}

CFTimeInterval now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The results that this root writes.
template <typename Use>
void for_each_result(const Work& work, const Use& use) {
  for (std::size_t i = work.root; i < work.results.size(); i += work.roots) use(i, *work.results[i]);
}

void begin(const Work& work, int queue) {
  for (const auto& feed : work.feeds) feed->begin_read(queue);
  for_each_result(work, [queue](std::size_t, BufferMemory& result) { result.begin_write(queue); });
}

void end(const Work& work) {
  for (const auto& feed : work.feeds) feed->end_read();
  for_each_result(work, [](std::size_t, BufferMemory& result) { result.end_write(); });
}

void compute(const Work& work, const std::vector<float*>& results) {
  std::vector<const float*> feeds;
  for (const auto& feed : work.feeds) feeds.push_back(feed->device());
  work.plan->run(feeds, results);
}

void execute(const Work& work) {
  std::vector<float*> results;
  if (work.split == nullptr) {
    for (const auto& result : work.results) results.push_back(result->device());
    return compute(work, results);
  }
  for (std::vector<float>& values : *work.split) results.push_back(values.data());
  if (work.root == 0) compute(work, results);
  for_each_result(work, [&](std::size_t i, BufferMemory& result) {
    std::copy((*work.split)[i].begin(), (*work.split)[i].end(), result.device());
  });
}

// After a fault nothing is known of the results: garbage is the worst they can hold.
void spoil(const Work& work) {
  for_each_result(work, [](std::size_t, BufferMemory& result) { result.fill_with_nans(); });
  if (work.split == nullptr || work.root != 0) return;
  for (std::vector<float>& values : *work.split) std::fill(values.begin(), values.end(), NAN);
}

NSError* error_with_text(const std::string& text) {
  NSDictionary* info = [NSDictionary dictionaryWithObject:[NSString stringWithUTF8String:text.c_str()]
                                                   forKey:NSLocalizedDescriptionKey];
  return [[NSError alloc] initWithDomain:@"MTLCommandBufferErrorDomain" code:1 userInfo:info];
}

// On the queue's device thread.
void execute_all(CommandBuffer& buffer, const std::optional<CommitFault>& fault) {
  wait_while_held();
  std::this_thread::sleep_for(next_execute_delay());
  const CFTimeInterval start = now();
  for (const Work& work : buffer.work) {
    fault ? spoil(work) : execute(work);
    end(work);
  }
  buffer.work.clear();
  const std::lock_guard lock(buffer.mutex);
  buffer.gpu_start = start;
  buffer.gpu_end = now();
  if (fault && fault->text) {
    buffer.error = error_with_text(*fault->text);
    const std::lock_guard run_lock(buffer.run->mutex);
    if (buffer.run->error == nil) buffer.run->error = [buffer.error retain];
  }
  buffer.status = fault ? MTLCommandBufferStatusError : MTLCommandBufferStatusCompleted;
  buffer.finished.notify_all();
}

void call_graph_handler(CommandBuffer& buffer, objc_host_graph_handler kind) {
  if (buffer.graph_handler == nil) return;
  if (kind == OBJC_HOST_GRAPH_HANDLER_TWICE) buffer.graph_handler([NSArray array], nil);
  if (kind != OBJC_HOST_GRAPH_HANDLER_NEVER) {
    NSError* error = kind == OBJC_HOST_GRAPH_HANDLER_UNTOLD ? nil : buffer.run->error;  // its roots have all completed
    buffer.graph_handler([NSArray array], error);
  }
  Block_release(buffer.graph_handler);
  buffer.graph_handler = nil;
}

// On the queue's handler thread.
void call_handlers(HostCommandBuffer* object, CommandBuffer& buffer) {
  std::this_thread::sleep_for(next_handler_delay());
  const objc_host_graph_handler kind = graph_handler();
  if (kind != OBJC_HOST_GRAPH_HANDLER_LAST) call_graph_handler(buffer, kind);
  for (MTLCommandBufferHandler handler : buffer.handlers) {
    handler(object);
    Block_release(handler);
  }
  buffer.handlers.clear();
  if (kind == OBJC_HOST_GRAPH_HANDLER_LAST) {
    std::this_thread::sleep_for(next_handler_delay());
    call_graph_handler(buffer, kind);
  }
  const std::lock_guard lock(buffer.mutex);
  buffer.handled = true;
  buffer.finished.notify_all();
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
    for (std::size_t i = 0; i < made.size(); ++i) {
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
  objc_host::throw_if_asked(OBJC_HOST_FAMILY);
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
  objc_host::throw_if_asked(OBJC_HOST_CONTENTS);
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

- (instancetype)initWithQueue:(const std::shared_ptr<objc_host::CommandQueue>&)queue
                          run:(const std::shared_ptr<objc_host::Run>&)run {
  self = [super init];
  host_ = new objc_host::CommandBuffer();
  host_->queue = queue;
  host_->run = run;
  return self;
}

- (void)dealloc {
  for (const objc_host::Work& work : host_->work) objc_host::end(work);  // never committed
  for (MTLCommandBufferHandler handler : host_->handlers) Block_release(handler);
  if (host_->graph_handler != nil) Block_release(host_->graph_handler);
  [host_->error release];
  [host_->label release];
  delete host_;
  [super dealloc];
}

- (void)requireUncommitted:(const char*)message {
  const std::lock_guard lock(host_->mutex);
  if (host_->status != MTLCommandBufferStatusNotEnqueued) fail(message);
}

- (void)encode:(objc_host::Work)work {
  [self requireUncommitted:"encode: the command buffer is already committed"];
  objc_host::read_too_early(work);
  objc_host::begin(work, host_->queue->number());
  host_->work.push_back(std::move(work));
}

- (void)addCompletedHandler:(MTLCommandBufferHandler)block {
  objc_host::throw_if_asked(OBJC_HOST_ADD_HANDLER);
  [self requireUncommitted:"addCompletedHandler: the command buffer is committed"];
  host_->handlers.push_back(Block_copy(block));
}

- (void)setGraphHandler:(MPSGraphExecutableCompletionHandler)handler {
  host_->graph_handler = Block_copy(handler);
}

- (void)waitForHandlers {
  std::unique_lock lock(host_->mutex);
  host_->finished.wait(lock, [self] { return host_->handled; });
}

- (void)commit {
  objc_host::throw_if_asked(OBJC_HOST_COMMIT);
  [self send];
  objc_host::throw_if_asked(OBJC_HOST_COMMITTED);
}

- (void)send {
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
  objc_host::throw_if_asked(OBJC_HOST_STATUS);
  const std::lock_guard lock(host_->mutex);
  return host_->status;
}

- (CFTimeInterval)GPUStartTime {
  const std::lock_guard lock(host_->mutex);
  return host_->gpu_start;
}

- (CFTimeInterval)GPUEndTime {
  const std::lock_guard lock(host_->mutex);
  return host_->gpu_end;
}

- (NSString*)label {
  return host_->label;
}

- (void)setLabel:(NSString*)label {
  [host_->label autorelease];
  host_->label = [label copy];
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
  buffer->root_ = [[HostCommandBuffer alloc] initWithQueue:*static_cast<HostCommandQueue*>(commandQueue)->queue_
                                                       run:std::make_shared<objc_host::Run>()];
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
  [root_ send];
  objc_host::throw_if_asked(OBJC_HOST_COMMITTED);
  HostCommandBuffer* next = [[HostCommandBuffer alloc] initWithQueue:root_->host_->queue run:root_->host_->run];
  next.label = [root_->host_->label stringByAppendingString:@"+"];
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

- (NSString*)label {
  return root_.label;
}

- (void)setLabel:(NSString*)label {
  root_.label = label;
}

- (CFTimeInterval)GPUStartTime {
  return root_.GPUStartTime;
}

- (CFTimeInterval)GPUEndTime {
  return root_.GPUEndTime;
}

@end
