// What every Objective-C++ file of the MPSGraph engine needs: ARC, autorelease pools, exceptions, and results that are
// not nil.
#pragma once

#import <Foundation/Foundation.h>

#include <exception>
#include <string>
#include <type_traits>

#include "mpsmnist/mpsmnist.h"

#if !__has_feature(objc_arc)
#error "The MPSGraph engine needs -fobjc-arc: without it every object it makes would leak."
#endif

namespace mpsmnist::mps {

/// Empty for nil, and for text that is not Unicode, whose UTF8String is NULL.
inline std::string text_of(NSString* text) {
  const char* const bytes = [text UTF8String];
  return bytes == nullptr ? "" : bytes;
}

inline std::string raised(NSException* exception) {
  const std::string name = text_of(exception.name), reason = text_of(exception.reason);
  return "an Apple framework raised " + (name.empty() ? "an exception without a name" : name) +
         (reason.empty() ? "" : ": " + reason);
}

/// Runs body() inside an autorelease pool; an NSException becomes a DeviceError. ARC does not drain a pool that an
/// exception leaves, and the threads that call the engine may have no outer pool, so an exception waits until the pool
/// is gone. @catch comes first: to Apple's runtime catch (...) means NSExceptions too.
template <typename Body>
std::invoke_result_t<Body> with_autorelease_pool(Body&& body) {
  std::exception_ptr failure;
  @autoreleasepool {
    try {
      @try {
        return body();
      } @catch (NSException* exception) {
        failure = std::make_exception_ptr(DeviceError("[mps] " + raised(exception)));
      }
    } catch (...) {
      failure = std::current_exception();
    }
  }
  std::rethrow_exception(failure);
}

/// Returns object, or throws DeviceError if Apple's framework returned nil.
template <typename Object>
Object require(Object object, const char* message) {
  if (object == nil) {
    throw DeviceError(message);
  }
  return object;
}

}  // namespace mpsmnist::mps
