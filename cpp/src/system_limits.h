// What the system refuses, memory or threads, as a DeviceError that says so.
#pragma once

#include <new>
#include <string>
#include <system_error>
#include <type_traits>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

/// Returns call(). Threads are all that this library starts, so std::system_error is about them.
template <typename Call>
std::invoke_result_t<Call> with_device_errors(const std::string& device, const Call& call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    throw DeviceError("[" + device + "] out of memory");
  } catch (const std::system_error& error) {
    throw DeviceError("[" + device + "] the system allows no more threads (" + error.what() +
                      "): ask for fewer, or raise its limits on processes and memory");
  }
}

}  // namespace mpsmnist
