// The part of MetalPerformanceShaders that the host implements: Apple's selectors, types and values. Ivars are the
// host's.
#pragma once

#import <Metal/Metal.h>

NS_ASSUME_NONNULL_BEGIN

typedef NS_ENUM(uint32_t, MPSDataType) {
  MPSDataTypeFloatBit = 0x10000000,
  MPSDataTypeFloat32 = MPSDataTypeFloatBit | 32,
  MPSDataTypeFloat16 = MPSDataTypeFloatBit | 16,
};

typedef NSArray<NSNumber*> MPSShape;

@class HostCommandBuffer;

@interface MPSCommandBuffer : NSObject <MTLCommandBuffer> {
 @private
  HostCommandBuffer* root_;
}
@property(readonly, retain, nonatomic, nonnull) id<MTLCommandBuffer> rootCommandBuffer;
+ (nonnull instancetype)commandBufferFromCommandQueue:(nonnull id<MTLCommandQueue>)commandQueue;
- (void)commitAndContinue;
@end

NS_ASSUME_NONNULL_END
