// The GIL, given up for native work and taken for callbacks, by threads that the interpreter may end when they ask.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

namespace mpsmnist::bindings {

/// Calls Python's C API where it may ask for the GIL. Once the interpreter shuts down, that ends a thread other than
/// its own: Python 3.14 lets it hang, older ones call pthread_exit, whose unwinding aborts the process at a noexcept
/// frame and would run destructors of Python objects without the GIL. So this thread hangs too: the process ends soon.
template <typename Call>
auto or_hang(const Call& call) noexcept {
  try {
    return call();
  } catch (...) {  // the unwinding of pthread_exit: C functions throw nothing else
    while (true) pause();
  }
}

/// Gives up the GIL while it lives.
class GilRelease {
 public:
  GilRelease() = default;
  ~GilRelease() {
    or_hang([this] { PyEval_RestoreThread(state_); });
  }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* const state_ = PyEval_SaveThread();
};

/// Holds the GIL while it lives, in a callback from native work on the thread of `state`. PyGILState_Ensure() would not
/// do: late in the interpreter's shutdown it crashes.
class GilAcquire {
 public:
  explicit GilAcquire(PyThreadState* state) {
    or_hang([state] { PyEval_RestoreThread(state); });
  }
  ~GilAcquire() { PyEval_SaveThread(); }
  GilAcquire(const GilAcquire&) = delete;
  GilAcquire& operator=(const GilAcquire&) = delete;
};

}  // namespace mpsmnist::bindings
