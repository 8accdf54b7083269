// MPSGraph: tensors and the ops that make them.
#import "graph_host.h"

#include "fatal.h"

using objc_host::fail;
using objc_host::Op;
using objc_host::Shape;
using objc_host::text_of;

namespace objc_host {

Shape shape_of(NSArray* sides) {
  Shape shape;
  for (NSNumber* side in sides) shape.push_back([side longLongValue]);
  return shape;
}

NSArray* array_of(const Shape& shape) {
  NSMutableArray* sides = [NSMutableArray arrayWithCapacity:shape.size()];
  for (const std::int64_t side : shape) [sides addObject:[NSNumber numberWithLongLong:side]];
  return sides;
}

std::string text_of(NSString* text) { return text == nil ? "" : [text UTF8String]; }

void require_float32(MPSDataType type, const char* where) {
  if (type != MPSDataTypeFloat32) fail(std::string(where) + ": only MPSDataTypeFloat32 is implemented");
}

namespace {

Window window_of(const Descriptor* descriptor, const char* where) {
  if (descriptor == nullptr) fail(std::string(where) + ": the descriptor is nil");
  return descriptor->window;
}

bool same_padding(MPSGraphPaddingStyle style, const char* where) {
  if (style != MPSGraphPaddingStyleTF_SAME && style != MPSGraphPaddingStyleTF_VALID) {
    fail(std::string(where) + ": padding style " + std::to_string(style) + " is not implemented");
  }
  return style == MPSGraphPaddingStyleTF_SAME;
}

}  // namespace
}  // namespace objc_host

@implementation MPSGraphTensor

- (void)dealloc {
  delete host_;
  [super dealloc];
}

- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  return [self retain];
}

- (NSComparisonResult)compareNodes:(MPSGraphTensor*)other {
  if (host_->node == other->host_->node) return NSOrderedSame;
  return host_->node < other->host_->node ? NSOrderedAscending : NSOrderedDescending;
}

- (MPSShape*)shape {
  const auto graph = host_->graph.lock();
  if (graph == nullptr) fail("a tensor is used after its MPSGraph is gone");
  const objc_host::Node& node = (*graph)[host_->node];
  return node.shape_known ? objc_host::array_of(node.shape) : nil;
}

- (MPSDataType)dataType {
  return MPSDataTypeFloat32;
}

@end

@implementation MPSGraphConvolution2DOpDescriptor

+ (instancetype)descriptorWithStrideInX:(NSUInteger)strideInX
                              strideInY:(NSUInteger)strideInY
                        dilationRateInX:(NSUInteger)dilationRateInX
                        dilationRateInY:(NSUInteger)dilationRateInY
                                 groups:(NSUInteger)groups
                           paddingStyle:(MPSGraphPaddingStyle)paddingStyle
                             dataLayout:(MPSGraphTensorNamedDataLayout)dataLayout
                          weightsLayout:(MPSGraphTensorNamedDataLayout)weightsLayout {
  if (dilationRateInX != 1 || dilationRateInY != 1 || groups != 1)
    fail("convolution: dilation and groups are not implemented");
  if (dataLayout != MPSGraphTensorNamedDataLayoutNHWC || weightsLayout != MPSGraphTensorNamedDataLayoutHWIO) {
    fail("convolution: only NHWC data and HWIO weights are implemented");
  }
  if (strideInX < 1 || strideInY < 1) fail("convolution: a stride is 0");
  if (objc_host::returns_nil(OBJC_HOST_DESCRIPTOR)) return nil;
  MPSGraphConvolution2DOpDescriptor* descriptor = [[[self alloc] init] autorelease];
  descriptor->host_ = new objc_host::Descriptor();
  objc_host::Window& window = descriptor->host_->window;
  window.stride_x = static_cast<std::int64_t>(strideInX);
  window.stride_y = static_cast<std::int64_t>(strideInY);
  window.same = objc_host::same_padding(paddingStyle, "convolution");
  return descriptor;
}

- (void)dealloc {
  delete host_;
  [super dealloc];
}

@end

@implementation MPSGraphPooling2DOpDescriptor

+ (instancetype)descriptorWithKernelWidth:(NSUInteger)kernelWidth
                             kernelHeight:(NSUInteger)kernelHeight
                                strideInX:(NSUInteger)strideInX
                                strideInY:(NSUInteger)strideInY
                             paddingStyle:(MPSGraphPaddingStyle)paddingStyle
                               dataLayout:(MPSGraphTensorNamedDataLayout)dataLayout {
  if (dataLayout != MPSGraphTensorNamedDataLayoutNHWC) fail("pooling: only NHWC data is implemented");
  if (kernelWidth < 1 || kernelHeight < 1 || strideInX < 1 || strideInY < 1) fail("pooling: a size or stride is 0");
  if (objc_host::returns_nil(OBJC_HOST_DESCRIPTOR)) return nil;
  MPSGraphPooling2DOpDescriptor* descriptor = [[[self alloc] init] autorelease];
  descriptor->host_ = new objc_host::Descriptor();
  objc_host::Window& window = descriptor->host_->window;
  window.kernel_x = static_cast<std::int64_t>(kernelWidth);
  window.kernel_y = static_cast<std::int64_t>(kernelHeight);
  window.stride_x = static_cast<std::int64_t>(strideInX);
  window.stride_y = static_cast<std::int64_t>(strideInY);
  window.same = objc_host::same_padding(paddingStyle, "pooling");
  return descriptor;
}

- (void)dealloc {
  delete host_;
  [super dealloc];
}

@end

@implementation MPSGraph

@synthesize options = options_;

- (instancetype)init {
  self = [super init];
  host_ = new std::shared_ptr(std::make_shared<objc_host::Graph>());
  tensors_ = [[NSMutableArray alloc] init];
  options_ = MPSGraphOptionsSynchronizeResults;
  return self;
}

- (void)dealloc {
  [tensors_ release];
  delete host_;
  [super dealloc];
}

- (void)doesNotRecognizeSelector:(SEL)selector {
  fail("MPSGraph: unknown op " + text_of(NSStringFromSelector(selector)));
}

- (int)nodeOf:(MPSGraphTensor*)tensor {
  if (tensor == nil) fail("MPSGraph: a tensor is nil");
  if (tensor->host_->graph.lock() != *host_) fail("MPSGraph: a tensor belongs to another graph");
  return tensor->host_->node;
}

- (MPSGraphTensor*)tensorOf:(int)node {
  objc_host::throw_if_asked(OBJC_HOST_OPERATION);
  MPSGraphTensor* tensor = [[[MPSGraphTensor alloc] init] autorelease];
  tensor->host_ = new objc_host::Tensor{.graph = *host_, .node = node, .counted = {}};
  [tensors_ addObject:tensor];
  return tensor;
}

- (MPSGraphTensor*)elementwise:(Op)op
                       primary:(MPSGraphTensor*)primary
                     secondary:(MPSGraphTensor*)secondary
                          name:(NSString*)name {
  return [self tensorOf:(*host_)->elementwise(op, [self nodeOf:primary], [self nodeOf:secondary], text_of(name))];
}

- (MPSGraphTensor*)placeholderWithShape:(MPSShape*)shape dataType:(MPSDataType)dataType name:(NSString*)name {
  if (shape == nil) fail("placeholder '" + text_of(name) + "': the shape is nil");
  objc_host::require_float32(dataType, "placeholder");
  return [self tensorOf:(*host_)->placeholder(objc_host::shape_of(shape), text_of(name))];
}

- (MPSGraphTensor*)constantWithScalar:(double)scalar dataType:(MPSDataType)dataType {
  objc_host::require_float32(dataType, "constant");
  return [self tensorOf:(*host_)->constant(scalar)];
}

- (MPSGraphTensor*)additionWithPrimaryTensor:(MPSGraphTensor*)primary
                             secondaryTensor:(MPSGraphTensor*)secondary
                                        name:(NSString*)name {
  return [self elementwise:Op::kAdd primary:primary secondary:secondary name:name];
}

- (MPSGraphTensor*)subtractionWithPrimaryTensor:(MPSGraphTensor*)primary
                                secondaryTensor:(MPSGraphTensor*)secondary
                                           name:(NSString*)name {
  return [self elementwise:Op::kSubtract primary:primary secondary:secondary name:name];
}

- (MPSGraphTensor*)multiplicationWithPrimaryTensor:(MPSGraphTensor*)primary
                                   secondaryTensor:(MPSGraphTensor*)secondary
                                              name:(NSString*)name {
  return [self elementwise:Op::kMultiply primary:primary secondary:secondary name:name];
}

- (MPSGraphTensor*)divisionWithPrimaryTensor:(MPSGraphTensor*)primary
                             secondaryTensor:(MPSGraphTensor*)secondary
                                        name:(NSString*)name {
  return [self elementwise:Op::kDivide primary:primary secondary:secondary name:name];
}

- (MPSGraphTensor*)matrixMultiplicationWithPrimaryTensor:(MPSGraphTensor*)primary
                                         secondaryTensor:(MPSGraphTensor*)secondary
                                                    name:(NSString*)name {
  return [self tensorOf:(*host_)->matmul([self nodeOf:primary], [self nodeOf:secondary], text_of(name))];
}

- (MPSGraphTensor*)convolution2DWithSourceTensor:(MPSGraphTensor*)source
                                   weightsTensor:(MPSGraphTensor*)weights
                                      descriptor:(MPSGraphConvolution2DOpDescriptor*)descriptor
                                            name:(NSString*)name {
  const objc_host::Window window = objc_host::window_of(descriptor == nil ? nullptr : descriptor->host_, "convolution");
  return [self tensorOf:(*host_)->convolution([self nodeOf:source], [self nodeOf:weights], window, text_of(name))];
}

- (MPSGraphTensor*)maxPooling2DWithSourceTensor:(MPSGraphTensor*)source
                                     descriptor:(MPSGraphPooling2DOpDescriptor*)descriptor
                                           name:(NSString*)name {
  const objc_host::Window window = objc_host::window_of(descriptor == nil ? nullptr : descriptor->host_, "pooling");
  return [self tensorOf:(*host_)->max_pool([self nodeOf:source], window, text_of(name))];
}

- (MPSGraphTensor*)reLUWithTensor:(MPSGraphTensor*)tensor name:(NSString*)name {
  return [self tensorOf:(*host_)->relu([self nodeOf:tensor], text_of(name))];
}

- (MPSGraphTensor*)reshapeTensor:(MPSGraphTensor*)tensor withShape:(MPSShape*)shape name:(NSString*)name {
  return [self tensorOf:(*host_)->reshape([self nodeOf:tensor], objc_host::shape_of(shape), text_of(name))];
}

- (MPSGraphTensor*)softMaxCrossEntropyWithSourceTensor:(MPSGraphTensor*)source
                                          labelsTensor:(MPSGraphTensor*)labels
                                                  axis:(NSInteger)axis
                                         reductionType:(MPSGraphLossReductionType)reductionType
                                                  name:(NSString*)name {
  if (axis != 1 && axis != -1) fail("softMaxCrossEntropy: only the last of two axes is implemented");
  if (reductionType != MPSGraphLossReductionTypeSum)
    fail("softMaxCrossEntropy: only the reduction to a sum is implemented");
  return [self tensorOf:(*host_)->softmax_cross_entropy([self nodeOf:source], [self nodeOf:labels], text_of(name))];
}

- (NSDictionary*)gradientForPrimaryTensor:(MPSGraphTensor*)primaryTensor
                              withTensors:(NSArray*)tensors
                                     name:(NSString*)name {
  (void)name;  // each gradient is named after the op that it is the gradient of
  std::vector<int> nodes;
  for (MPSGraphTensor* tensor in tensors) nodes.push_back([self nodeOf:tensor]);
  const std::vector<int> gradients = (*host_)->gradients([self nodeOf:primaryTensor], nodes);
  NSMutableDictionary* result = [NSMutableDictionary dictionary];
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    [result setObject:[self tensorOf:gradients[i]] forKey:[tensors objectAtIndex:i]];
  }
  return result;
}

@end
