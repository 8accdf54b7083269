// Uses the host correctly except for one named mistake, so that the host can be seen to catch it. Compiled as the core
// is.
//
// One step of w <- w - x * w over (2, 3) tensors, with the loss sum(x * w . ones).
#import <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "host_control.h"

// An op that Apple has and the host lacks.
@interface MPSGraph (NotInTheHost)
- (MPSGraphTensor*)tanhWithTensor:(MPSGraphTensor*)tensor name:(NSString*)name;
@end

namespace {

using Tensors = NSArray<MPSGraphTensor*>*;
using Data = NSMutableArray<MPSGraphTensorData*>*;

MPSShape* matrix() { return @[ @2, @3 ]; }

struct Network {
  MPSGraph* graph = [MPSGraph new];
  MPSGraphTensor* x = placeholder(matrix(), @"x");
  MPSGraphTensor* w = placeholder(matrix(), @"w");
  MPSGraphTensor* rate = placeholder(@[ @1 ], @"rate");
  MPSGraphTensor* product = [graph multiplicationWithPrimaryTensor:x secondaryTensor:w name:@"product"];
  MPSGraphTensor* updated = [graph subtractionWithPrimaryTensor:w
                                                secondaryTensor:[graph multiplicationWithPrimaryTensor:product
                                                                                       secondaryTensor:rate
                                                                                                  name:@"change"]
                                                           name:@"updated"];

  MPSGraphTensor* placeholder(MPSShape* shape, NSString* name) {
    return [graph placeholderWithShape:shape dataType:MPSDataTypeFloat32 name:name];
  }
};

MPSGraphShapedType* typed(MPSShape* shape) {
  return [[MPSGraphShapedType alloc] initWithShape:shape dataType:MPSDataTypeFloat32];
}

MPSGraphCompilationDescriptor* descriptor() {
  MPSGraphCompilationDescriptor* result = [MPSGraphCompilationDescriptor new];
  result.optimizationLevel = MPSGraphOptimizationLevel0;
  result.waitForCompilationCompletion = YES;
  [result setValue:@0 forKey:@"reducedPrecisionFastMath"];
  return result;
}

struct Program {
  Network network;
  id<MTLDevice> device = MTLCreateSystemDefaultDevice();
  id<MTLCommandQueue> queue = [device newCommandQueue];
  MPSGraphExecutable* executable = compile(@[ network.product, network.updated ]);
  id<MTLBuffer> x = buffer(6), w = buffer(6), rate = buffer(1), product = buffer(6), updated = buffer(6);

  MPSGraphExecutable* compile(Tensors targets) {
    return [network.graph compileWithDevice:[MPSGraphDevice deviceWithMTLDevice:device]
                                      feeds:@{
                                        network.x : typed(matrix()),
                                        network.w : typed(matrix()),
                                        network.rate : typed(@[ @1 ])
                                      }
                              targetTensors:targets
                           targetOperations:nil
                      compilationDescriptor:descriptor()];
  }

  id<MTLBuffer> buffer(std::size_t floats) {
    id<MTLBuffer> result = [device newBufferWithLength:floats * sizeof(float) options:MTLResourceStorageModeShared];
    float* values = static_cast<float*>([result contents]);
    for (std::size_t i = 0; i < floats; ++i) values[i] = 0.5F;
    return result;
  }

  static MPSGraphTensorData* data(id<MTLBuffer> buffer, MPSShape* shape) {
    return [[MPSGraphTensorData alloc] initWithMTLBuffer:buffer shape:shape dataType:MPSDataTypeFloat32];
  }

  Data inputs() {
    Data result = [NSMutableArray arrayWithCapacity:3];
    for (MPSGraphTensor* tensor in executable.feedTensors) {
      [result addObject:tensor == network.rate ? data(rate, @[ @1 ]) : data(tensor == network.x ? x : w, matrix())];
    }
    return result;
  }

  Data results() {
    Data result = [NSMutableArray arrayWithCapacity:2];
    for (MPSGraphTensor* tensor in executable.targetTensors) {
      [result addObject:data(tensor == network.product ? product : updated, matrix())];
    }
    return result;
  }

  MPSCommandBuffer* encoded(Data inputs, Data results) {
    MPSCommandBuffer* command = [MPSCommandBuffer commandBufferFromCommandQueue:queue];
    [executable encodeToCommandBuffer:command inputsArray:inputs resultsArray:results executionDescriptor:nil];
    return command;
  }

  MPSCommandBuffer* encoded() { return encoded(inputs(), results()); }

  void run() {
    MPSCommandBuffer* command = encoded();
    [command commit];
    [command waitUntilCompleted];
  }
};

float* values(id<MTLBuffer> buffer) { return static_cast<float*>([buffer contents]); }

// What a core that forgets to make an updated weight a target reads after the sets are swapped: memory never written.
void forget_an_update(Program& program) {
  program.executable = program.compile(@[ program.network.product ]);
  id<MTLBuffer> never_written = [program.device newBufferWithLength:24 options:MTLResourceStorageModeShared];
  program.run();
  program.w = never_written;
  program.run();
  std::printf("product %f\n", static_cast<double>(values(program.product)[0]));
}

/// The product of x and w, and with respect to w its gradient, which is the product of x, transposed, and what comes
/// in.
void differentiate_product(Program& p, MPSShape* x_shape, MPSShape* w_shape) {
  MPSGraphTensor* x = p.network.placeholder(x_shape, @"x");
  MPSGraphTensor* w = p.network.placeholder(w_shape, @"w");
  MPSGraphTensor* xw = [p.network.graph matrixMultiplicationWithPrimaryTensor:x secondaryTensor:w name:@"xw"];
  [p.network.graph gradientForPrimaryTensor:xw withTensors:@[ w ] name:@"gradient"];
}

/// A run whose result is the gradient of `sum` with respect to `source`, in a buffer of shape (1).
void run_gradient(Program& p, MPSGraphTensor* sum, MPSGraphTensor* source) {
  MPSGraphTensor* gradient = [p.network.graph gradientForPrimaryTensor:sum withTensors:@[ source ]
                                                                  name:@"gradient"][source];
  p.executable = p.compile(@[ gradient ]);
  Data result = [NSMutableArray arrayWithCapacity:1];
  [result addObject:Program::data(p.product, @[ @1 ])];
  p.encoded(p.inputs(), result);
}

using Mistake = std::function<void(Program&)>;

const std::map<std::string, Mistake>& mistakes() {
  static const std::map<std::string, Mistake> all = {
      {"none",
       [](Program& p) {
         p.run();
         std::printf("product %f updated %f\n", static_cast<double>(values(p.product)[5]),
                     static_cast<double>(values(p.updated)[5]));
       }},
      {"feed-order",
       [](Program& p) {
         Data reversed = [NSMutableArray arrayWithCapacity:3];
         Data inputs = p.inputs();
         for (NSUInteger i = inputs.count; i-- > 0;) [reversed addObject:inputs[i]];
         p.encoded(reversed, p.results());
       }},
      {"result-aliases-feed",
       [](Program& p) {
         p.updated = p.w;
         p.encoded();
       }},
      {"result-aliases-result",
       [](Program& p) {
         p.updated = p.product;
         p.encoded();
       }},
      {"read-before-completion",
       [](Program& p) {
         objc_host_hold(1);
         [p.encoded() commit];
         values(p.product);
       }},
      {"read-through-kept-pointer",
       [](Program& p) {
         const float* product = values(p.product);
         objc_host_hold(1);
         [p.encoded() commit];
         std::printf("%f\n", static_cast<double>(product[0]));
       }},
      {"write-a-feed-in-flight",
       [](Program& p) {
         float* x = values(p.x);
         objc_host_hold(1);
         [p.encoded() commit];
         x[0] = 1;
       }},
      {"result-missing",
       [](Program& p) {
         Data one = [NSMutableArray arrayWithCapacity:1];
         [one addObject:p.results()[0]];
         p.encoded(p.inputs(), one);
       }},
      {"results-nil", [](Program& p) { p.encoded(p.inputs(), nil); }},
      {"forgotten-update", forget_an_update},
      {"missing-feed",
       [](Program& p) {
         [p.network.graph compileWithDevice:[MPSGraphDevice deviceWithMTLDevice:p.device]
                                      feeds:@{p.network.x : typed(matrix())}
                              targetTensors:@[ p.network.product ]
                           targetOperations:nil
                      compilationDescriptor:descriptor()];
       }},
      {"feed-shape",
       [](Program& p) {
         [p.network.graph compileWithDevice:[MPSGraphDevice deviceWithMTLDevice:p.device]
                                      feeds:@{
                                        p.network.x : typed(@[ @3, @2 ]),
                                        p.network.w : typed(matrix())
                                      }
                              targetTensors:@[ p.network.product ]
                           targetOperations:nil
                      compilationDescriptor:descriptor()];
       }},
      {"buffer-too-small", [](Program& p) { Program::data(p.rate, matrix()); }},
      {"data-type",
       [](Program& p) {
         (void)[[MPSGraphTensorData alloc] initWithMTLBuffer:p.x shape:matrix() dataType:MPSDataTypeFloat16];
       }},
      {"wrong-shape",
       [](Program& p) {
         [p.network.graph matrixMultiplicationWithPrimaryTensor:p.network.x secondaryTensor:p.network.w name:@"xw"];
       }},
      {"unknown-op", [](Program& p) { [p.network.graph tanhWithTensor:p.network.x name:@"tanh"]; }},
      {"another-graph",
       [](Program& p) {
         Network other;
         [p.network.graph reLUWithTensor:other.x name:@"relu"];
       }},
      {"graph-gone",
       [](Program& p) {
         Data inputs = p.inputs();
         Data results = p.results();
         p.network.graph = nil;
         p.encoded(inputs, results);
       }},
      {"optimization-level",
       [](Program& p) {
         [p.network.graph compileWithDevice:[MPSGraphDevice deviceWithMTLDevice:p.device]
                                      feeds:@{p.network.x : typed(matrix()), p.network.w : typed(matrix())}
                              targetTensors:@[ p.network.product ]
                           targetOperations:nil
                      compilationDescriptor:[MPSGraphCompilationDescriptor new]];
       }},
      {"inner-dimension", [](Program& p) { differentiate_product(p, @[ @2, @32767 ], @[ @32767, @2 ]); }},
      {"inner-dimension-of-a-gradient", [](Program& p) { differentiate_product(p, @[ @32767, @2 ], @[ @2, @3 ]); }},
      {"product-of-2^31-bytes", [](Program& p) { differentiate_product(p, @[ @2, @32766 ], @[ @32766, @8193 ]); }},
      {"array-of-2^32-bytes", [](Program& p) { p.network.placeholder(@[ @32768, @32768 ], @"huge"); }},
      {"convolution-of-65536",
       [](Program& p) {
         MPSGraphConvolution2DOpDescriptor* same =
             [MPSGraphConvolution2DOpDescriptor descriptorWithStrideInX:1
                                                              strideInY:1
                                                        dilationRateInX:1
                                                        dilationRateInY:1
                                                                 groups:1
                                                           paddingStyle:MPSGraphPaddingStyleTF_SAME
                                                             dataLayout:MPSGraphTensorNamedDataLayoutNHWC
                                                          weightsLayout:MPSGraphTensorNamedDataLayoutHWIO];
         [p.network.graph convolution2DWithSourceTensor:p.network.placeholder(@[ @65536, @1, @1, @1 ], @"images")
                                          weightsTensor:p.network.placeholder(@[ @1, @1, @1, @1 ], @"weights")
                                             descriptor:same
                                                   name:@"convolution"];
       }},
      {"target-of-unknown-shape",
       [](Program& p) {
         objc_host_set_mode("gradients=unknown");
         run_gradient(p, p.network.product, p.network.w);
       }},
      {"target-of-kept-rank",
       [](Program& p) {
         objc_host_set_mode("gradients=kept-rank");
         MPSGraphTensor* rate = p.network.rate;
         run_gradient(p, [p.network.graph additionWithPrimaryTensor:p.network.x secondaryTensor:rate name:@"sum"],
                      rate);
       }},
      {"fast-math-absent",
       [](Program&) {
         objc_host_set_mode("fast-math=absent");
         descriptor();
       }},
      {"unknown-mode", [](Program&) { objc_host_set_mode("ties=third"); }},
      {"commit-twice",
       [](Program& p) {
         MPSCommandBuffer* command = p.encoded();
         [command commit];
         [command commit];
       }},
      {"handler-after-commit",
       [](Program& p) {
         MPSCommandBuffer* command = p.encoded();
         [command commit];
         [command addCompletedHandler:^(id<MTLCommandBuffer>){
         }];
       }},
      {"wait-before-commit", [](Program& p) { [p.encoded() waitUntilCompleted]; }},
      {"result-in-flight",
       [](Program& p) {
         objc_host_hold(1);
         [p.encoded() commit];
         [p.encoded() commit];
       }},
      {"two-queues",
       [](Program& p) {
         objc_host_hold(1);
         [p.encoded() commit];
         p.queue = [p.device newCommandQueue];
         p.w = p.updated;
         p.product = p.buffer(6);
         p.updated = p.buffer(6);
         [p.encoded() commit];
       }},
      {"write-past-the-end",
       [](Program& p) {
         values(p.x)[6] = 1;
         p.x = nil;
       }},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  @autoreleasepool {
    const auto mistake = argc == 2 ? mistakes().find(argv[1]) : mistakes().end();
    if (mistake == mistakes().end()) {
      for (const auto& [name, action] : mistakes()) std::printf("%s\n", name.c_str());
      return argc == 1 ? 0 : 2;
    }
    Program program;
    mistake->second(program);
  }
  return 0;
}
