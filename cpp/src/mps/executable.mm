#include "mps/executable.h"

#include <algorithm>
#include <string>
#include <utility>

namespace mpsmnist::mps {
namespace {

const char* name_of(Purpose purpose) {
  switch (purpose) {
    case Purpose::kTrain:
      return "training";
    case Purpose::kPredict:
      return "prediction";
    case Purpose::kGradients:
      return "gradients";
  }
}

Graph build_graph(const EngineOptions& options, Purpose purpose, std::int64_t n) {
  switch (purpose) {
    case Purpose::kTrain:
      return build_training_graph(options, n);
    case Purpose::kPredict:
      return build_prediction_graph(options, n);
    case Purpose::kGradients:
      return build_gradients_graph(options, n);
  }
}

MPSGraphCompilationDescriptor* make_descriptor() {
  MPSGraphCompilationDescriptor* descriptor = [MPSGraphCompilationDescriptor new];
  // Newer systems default to level 1, which may move work off the GPU.
  descriptor.optimizationLevel = MPSGraphOptimizationLevel0;
  descriptor.waitForCompilationCompletion = YES;
  // macOS 26 and later; by name, so that a build with an older SDK sets it too. 0 is "none": full float32.
  if ([descriptor respondsToSelector:NSSelectorFromString(@"setReducedPrecisionFastMath:")]) {
    [descriptor setValue:[NSNumber numberWithLongLong:0] forKey:@"reducedPrecisionFastMath"];
  }
  return descriptor;
}

MPSGraphExecutable* compile_graph(const Device& device, const Graph& graph) {
  NSMutableDictionary<MPSGraphTensor*, MPSGraphShapedType*>* feeds = [NSMutableDictionary dictionary];
  for (const Port& port : graph.feeds) {
    feeds[port.tensor] = [[MPSGraphShapedType alloc] initWithShape:to_mps_shape(port.shape)
                                                          dataType:MPSDataTypeFloat32];
  }
  NSMutableArray<MPSGraphTensor*>* targets = [NSMutableArray arrayWithCapacity:graph.targets.size()];
  for (const Port& port : graph.targets) {
    [targets addObject:port.tensor];
  }
  return [graph.mps compileWithDevice:device.graph
                                feeds:feeds
                        targetTensors:targets
                     targetOperations:nil
                compilationDescriptor:make_descriptor()];
}

/// For each position of `tensors`, the index of the port that it belongs to: found by identity, since neither a
/// dictionary nor the compiler promises an order.
std::vector<std::size_t> order_of(NSArray<MPSGraphTensor*>* tensors, const std::vector<Port>& ports,
                                  const std::string& what) {
  std::vector<std::size_t> order;
  for (MPSGraphTensor* tensor in tensors) {
    const auto port = std::find_if(ports.begin(), ports.end(), [tensor](const Port& p) { return p.tensor == tensor; });
    if (port == ports.end()) {
      throw DeviceError("[mps compile] the executable has a tensor that is not one of the " + what);
    }
    order.push_back(static_cast<std::size_t>(port - ports.begin()));
  }
  if (order.size() != ports.size()) {
    throw DeviceError("[mps compile] the executable has " + std::to_string(order.size()) + " " + what + ", expected " +
                      std::to_string(ports.size()));
  }
  return order;
}

}  // namespace

std::shared_ptr<const Program> compile(const Device& device, const EngineOptions& options, Purpose purpose,
                                       std::int64_t n) {
  const Stopwatch watch;
  auto program = std::make_shared<Program>();
  program->n = n;
  program->graph = build_graph(options, purpose, n);
  program->executable = compile_graph(device, program->graph);
  if (program->executable == nil) {
    throw DeviceError("[mps compile] MPSGraph returned no executable for " + std::string(name_of(purpose)) +
                      " at batch size " + std::to_string(n));
  }
  program->executable.options = MPSGraphOptionsNone;
  program->feed_order = order_of(program->executable.feedTensors, program->graph.feeds, "feeds");
  program->target_order = order_of(program->executable.targetTensors, program->graph.targets, "targets");
  device.counters->compiled(watch.seconds());
  return program;
}

std::shared_ptr<const Program> ProgramCache::get(const Device& device, const EngineOptions& options, Purpose purpose,
                                                 std::int64_t n) {
  auto& programs = programs_[static_cast<std::size_t>(purpose)];
  const auto known = std::find_if(programs.begin(), programs.end(), [n](const auto& p) { return p->n == n; });
  if (known != programs.end()) {
    programs.splice(programs.begin(), programs, known);
    return programs.front();
  }
  programs.push_front(compile(device, options, purpose, n));
  if (programs.size() > kCapacity) {
    programs.pop_back();
  }
  return programs.front();
}

}  // namespace mpsmnist::mps
