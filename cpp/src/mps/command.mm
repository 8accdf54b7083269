#include "mps/command.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "step_outcome.h"

namespace mpsmnist::mps {
namespace {

/// MPSGraph aborts the process when a buffer is too short or a shape is wrong, so such a run must not reach it.
void check_fit(const std::vector<Port>& ports, const TensorRefs& tensors) {
  if (tensors.size() != ports.size()) {
    throw DeviceError("[mps encode] got " + std::to_string(tensors.size()) + " tensors, expected " +
                      std::to_string(ports.size()));
  }
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const auto bytes = static_cast<NSUInteger>(element_count(ports[i].shape)) * sizeof(float);
    if (tensors[i]->shape != ports[i].shape || [tensors[i]->buffer length] < bytes) {
      throw DeviceError("[mps encode] the tensor " + tensors[i]->name + " does not fit " + ports[i].name);
    }
  }
}

/// A buffer that is fed and written in one run gives undefined results without any error.
void check_no_alias(const TensorRefs& feeds, const TensorRefs& targets) {
  for (const FloatTensor* feed : feeds) {
    for (const FloatTensor* target : targets) {
      if (feed->buffer == target->buffer) {
        throw DeviceError("[mps encode] the buffer of " + feed->name + " is both a feed and a target");
      }
    }
  }
}

std::vector<std::span<const float>> floats_of(const TensorRefs& tensors) {
  std::vector<std::span<const float>> floats;
  for (const FloatTensor* tensor : tensors) {
    floats.emplace_back(tensor->values(), static_cast<std::size_t>(element_count(tensor->shape)));
  }
  return floats;
}

/// The tensors' data in the executable's order.
NSArray<MPSGraphTensorData*>* arranged(const TensorRefs& tensors, const std::vector<std::size_t>& order) {
  NSMutableArray<MPSGraphTensorData*>* result = [NSMutableArray arrayWithCapacity:order.size()];
  for (const std::size_t index : order) {
    [result addObject:tensors[index]->data];
  }
  return result;
}

std::string describe(NSError* error) {
  if (error == nil) {
    return "command buffer failed without a reason";
  }
  return "command buffer failed: " + text_of(error.localizedDescription) + " (" + text_of(error.domain) + " code " +
         std::to_string(error.code) + ")";
}

RunFailure failure_of(id<MTLCommandBuffer> root) {
  return root.status == MTLCommandBufferStatusCompleted ? RunFailure() : describe(root.error);
}

/// The body of a root's completion handler: nothing may be thrown into Metal's thread.
void report_root(RunEnd& end, RunEnd::Reporter reporter, id<MTLCommandBuffer> root) noexcept {
  @autoreleasepool {
    RunEnd::Report report;
    @try {
      report.failure = failure_of(root);
      report.gpu_start = root.GPUStartTime;
      report.gpu_end = root.GPUEndTime;
    } @catch (NSException* exception) {
      report.failure = raised(exception);
    }
    end.report(reporter, std::move(report));
  }
}

/// The same of MPSGraph's, which knows of an error alone.
void report_graph(RunEnd& end, NSError* error) noexcept {
  @autoreleasepool {
    RunEnd::Report report;
    @try {
      if (error != nil) report.failure = describe(error);
    } @catch (NSException* exception) {
      report.failure = raised(exception);
    }
    end.report(RunEnd::kGraph, std::move(report));
  }
}

/// One root command buffer per run, where MPSGraph can be told so (as PyTorch tells the like of it, MPSStream.mm): then
/// its errors are all in reach. Otherwise 100 operations were seen to be split in two, and 400 in five, on macOS 27 by
/// others. Never run on Apple hardware: Trainer::diagnostics() counts what comes of it.
MPSGraphExecutableExecutionDescriptor* make_descriptor(std::shared_ptr<RunEnd> end) {
  MPSGraphExecutableExecutionDescriptor* descriptor = [MPSGraphExecutableExecutionDescriptor new];
  const MPSGraphExecutableCompletionHandler handler = ^(NSArray<MPSGraphTensorData*>*, NSError* error) {
    report_graph(*end, error);
  };
  descriptor.completionHandler = handler;
  if ([descriptor respondsToSelector:NSSelectorFromString(@"setEnableCommitAndContinue:")]) {  // in no public header
    [descriptor setValue:[NSNumber numberWithBool:NO] forKey:@"enableCommitAndContinue"];
  }
  return descriptor;
}

/// `end` is a value, as blocks capture a reference as what it is.
void report_end_of(id<MTLCommandBuffer> root, RunEnd::Reporter reporter, std::shared_ptr<RunEnd> end) {
  [root addCompletedHandler:^(id<MTLCommandBuffer> finished) {
    report_root(*end, reporter, finished);
  }];
}

/// MPSCommandBuffer appends a "+" to the label of each root that follows another: seen on macOS 27 by others, promised
/// nowhere. Without that, two is what can be told of a run that was split.
std::int64_t count_roots(id<MTLCommandBuffer> first, id<MTLCommandBuffer> last) {
  if (first == last) return 1;
  const std::string label = text_of(last.label);
  return 1 + std::max<std::int64_t>(1, std::count(label.begin(), label.end(), '+'));
}

/// After an exception, which may come before or after a root is committed: waits until the GPU is done with whatever
/// was. Queues execute in order, so an empty command buffer completes after it.
void wait_for_committed(const Device& device) noexcept {
  @try {
    MPSCommandBuffer* fence = [MPSCommandBuffer commandBufferFromCommandQueue:device.queue];
    [fence commit];
    [fence waitUntilCompleted];
  } @catch (NSException*) {
    // Metal takes no more work: the next call says so.
  }
}

/// Encodes the run and has its end reported. Throws what Apple's frameworks raise as a DeviceError.
EncodedRun encode_checked(const Device& device, const Program& program, const TensorRefs& feeds,
                          const TensorRefs& targets) {
  const auto end = std::make_shared<RunEnd>(device.counters, floats_of(targets));
  MPSCommandBuffer* command = require([MPSCommandBuffer commandBufferFromCommandQueue:device.queue],
                                      "[mps encode] Metal returned no command buffer");
  id<MTLCommandBuffer> first_root = command.rootCommandBuffer;
  @try {
    first_root.label = @"mpsmnist";
    report_end_of(first_root, RunEnd::kFirstRoot, end);  // now, as MPSGraph may commit it
    // Owned results: with nil, MPSGraph would hand out its own storage and use it again in the next run.
    [program.executable encodeToCommandBuffer:command
                                  inputsArray:arranged(feeds, program.feed_order)
                                 resultsArray:arranged(targets, program.target_order)
                          executionDescriptor:make_descriptor(end)];
    id<MTLCommandBuffer> last_root = command.rootCommandBuffer;
    if (last_root != first_root) {
      report_end_of(last_root, RunEnd::kLastRoot, end);
    }
    return {command, count_roots(first_root, last_root), end};
  } @catch (NSException* exception) {
    wait_for_committed(device);
    throw DeviceError("[mps encode] " + raised(exception));
  }
}

}  // namespace

EncodedRun encode(const Device& device, const Program& program, const TensorRefs& feeds, const TensorRefs& targets) {
  check_fit(program.graph.feeds, feeds);
  check_fit(program.graph.targets, targets);
  check_no_alias(feeds, targets);
  const Stopwatch watch;
  EncodedRun run = encode_checked(device, program, feeds, targets);
  device.counters->encoded(watch.seconds());
  return run;
}

void commit(const Device& device, const EncodedRun& run, std::function<void(RunFailure)> done) {
  const bool split = run.command_buffers > 1;
  // A run in one root has told all when that one has: nothing then waits for a handler that Apple promises little of.
  unsigned reporters = split ? RunEnd::kFirstRoot | RunEnd::kLastRoot | RunEnd::kGraph : RunEnd::kFirstRoot;
  @try {
    [run.command commit];
  } @catch (NSException* exception) {
    wait_for_committed(device);
    run.end->fail(raised(exception));
    reporters = 0;
  }
  run.end->await(reporters, run.command_buffers, std::move(done));
}

void commit_and_wait(const Device& device, const EncodedRun& run, const std::string& where) {
  auto outcome = std::make_shared<detail::StepOutcome>();
  commit(device, run, [outcome, where](RunFailure failure) {
    if (failure) {
      outcome->fail("[" + where + "] " + *failure);
    } else {
      outcome->complete(0);
    }
  });
  outcome->wait();
}

}  // namespace mpsmnist::mps
