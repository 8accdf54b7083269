// What every Objective-C++ file of the MPSGraph engine needs: ARC, autorelease pools, and results that are not nil.
#pragma once

#include <exception>
#include <string>
#include <type_traits>

#include "mpsmnist/mpsmnist.h"

#if !__has_feature(objc_arc)
#error "The MPSGraph engine needs -fobjc-arc: without it every object it makes would leak."
#endif

namespace mpsmnist::mps {

/// Runs body() inside an autorelease pool. ARC does not drain a pool that an exception leaves, and the threads that
/// call the engine may have no outer pool, so an exception waits until the pool is gone.
template <typename Body>
std::invoke_result_t<Body> with_autorelease_pool(Body&& body) {
  std::exception_ptr failure;
  @autoreleasepool {
    try {
      return body();
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
