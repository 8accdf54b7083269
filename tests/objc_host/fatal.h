// The host's one way to say that it was misused.
#pragma once

#include <string>

namespace objc_host {

/// Prints "objc_host: <message>" to stderr and aborts: what Apple's frameworks do to a process that misuses them.
[[noreturn]] void fail(const std::string& message);

}  // namespace objc_host
