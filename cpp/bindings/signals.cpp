#include "signals.h"

#include <Python.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string>

namespace mpsmnist::bindings {
namespace {

extern "C" void on_first_signal(int number) {
  const int error = errno;
  for (int each = 1; each < NSIG; ++each) {
    struct sigaction action;
    if (sigaction(each, nullptr, &action) == 0 && action.sa_handler == on_first_signal) std::signal(each, SIG_DFL);
  }
  PyErr_SetInterruptEx(number);  // it may be called here, without the GIL
  errno = error;
}

}  // namespace

void handle_once(int number) {
  struct sigaction action = {};
  action.sa_handler = on_first_signal;
  action.sa_flags = SA_ONSTACK;  // as Python's: the thread that gets it may have a small stack
  sigemptyset(&action.sa_mask);
  if (sigaction(number, &action, nullptr) != 0) {
    throw std::invalid_argument("number: " + std::to_string(number) + "; expected a signal that can be handled");
  }
}

}  // namespace mpsmnist::bindings
