#include "mps/command.h"

#include <memory>
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
  return "command buffer failed: " + std::string([error.localizedDescription UTF8String]) + " (" +
         std::string([error.domain UTF8String]) + " code " + std::to_string(error.code) + ")";
}

/// MPSGraph may have committed the root that it was given and gone on in another one: both must be free of errors.
/// If it did so twice, the root between these two is not seen here.
RunFailure failure_of(id<MTLCommandBuffer> first_root, id<MTLCommandBuffer> last_root) {
  if (first_root != nil && first_root.status == MTLCommandBufferStatusError) {
    return describe(first_root.error);
  }
  if (last_root.status != MTLCommandBufferStatusCompleted) {
    return describe(last_root.error);
  }
  return std::nullopt;
}

/// The body of a completion handler: nothing may be thrown into Metal's thread.
void report_end(id<MTLCommandBuffer> first_root, id<MTLCommandBuffer> last_root,
                const std::function<void(RunFailure)>& done) noexcept {
  @autoreleasepool {
    done(failure_of(first_root, last_root));
  }
}

}  // namespace

EncodedRun encode(const Device& device, const Program& program, const TensorRefs& feeds, const TensorRefs& targets) {
  check_fit(program.graph.feeds, feeds);
  check_fit(program.graph.targets, targets);
  check_no_alias(feeds, targets);
  EncodedRun run;
  run.command = require([MPSCommandBuffer commandBufferFromCommandQueue:device.queue],
                        "[mps encode] Metal returned no command buffer");
  run.first_root = run.command.rootCommandBuffer;
  // Owned results: with nil, MPSGraph would hand out its own storage and use it again in the next run.
  [program.executable encodeToCommandBuffer:run.command
                                inputsArray:arranged(feeds, program.feed_order)
                               resultsArray:arranged(targets, program.target_order)
                        executionDescriptor:nil];
  return run;
}

void commit(const EncodedRun& run, std::function<void(RunFailure)> done) {
  id<MTLCommandBuffer> last_root = run.command.rootCommandBuffer;
  // A handler that captures its own command buffer would keep it alive; it is handed that one as an argument.
  id<MTLCommandBuffer> earlier_root = run.first_root == last_root ? nil : run.first_root;
  [last_root addCompletedHandler:^(id<MTLCommandBuffer> finished) {
    report_end(earlier_root, finished, done);
  }];
  [run.command commit];
}

void commit_and_wait(const EncodedRun& run, const std::string& where) {
  auto outcome = std::make_shared<detail::StepOutcome>();
  commit(run, [outcome, where](RunFailure failure) {
    if (failure) {
      outcome->fail("[" + where + "] " + *failure);
    } else {
      outcome->complete(0);
    }
  });
  outcome->wait();
}

}  // namespace mpsmnist::mps
