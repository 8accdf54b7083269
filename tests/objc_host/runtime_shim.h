// What the host asks of the shim between the two runtimes.
#pragma once

#include <objc/objc.h>

namespace objc_host {

/// Throws an object, with a reference of the caller's, so that the core's @catch and catch (...) both catch it, as with
/// Apple's runtime. The classes of the host's own @throw and of GNUstep's -raise are no C++ exceptions: the core cannot
/// catch those.
[[noreturn]] void throw_object(id exception);

}  // namespace objc_host
