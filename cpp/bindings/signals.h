// Signals that ask a process to end.
#pragma once

namespace mpsmnist::bindings {

/// Leaves the next signal `number` to its Python handler, which signal.signal() has set, and whatever comes after it to
/// the kernel: it takes the default action of this and every other signal that was named here, at once and even
/// while a native call runs, which Python's own handlers would have to wait for. Throws std::invalid_argument.
void handle_once(int number);

}  // namespace mpsmnist::bindings
