#include "all_reduce.h"

#include "arguments.h"
#include "gil.h"
#include "named_gradients.h"
#include "python_calls.h"

namespace mpsmnist::bindings {
namespace {

/// How to wait for what all_reduce returned. MPI's requests have Wait(), and another wait() for pickled objects; what
/// torch.distributed returns has wait().
py::object wait_of(py::handle handle) {
  for (const char* name : {"Wait", "wait"}) {
    if (!has_attribute(handle, name)) continue;
    py::object wait = get_attribute(handle, name);
    if (PyCallable_Check(wait.ptr()) != 0) return wait;
  }
  throw py::type_error("all_reduce: it returned " + shown(handle) +
                       "; expected None, or an object with Wait() or wait()");
}

}  // namespace

PythonAllReduce::PythonAllReduce(const py::object& all_reduce) : all_reduce_(all_reduce) {
  if (PyCallable_Check(all_reduce.ptr()) == 0) {
    throw py::type_error("all_reduce: " + shown(all_reduce) + "; expected a function or None");
  }
}

AllReduce PythonAllReduce::hooks(std::int64_t global_batch_size) {
  return {.begin = [this](const GradientPart& part) { begin(part); },
          .finish = [this] { finish(); },
          .global_batch_size = global_batch_size};
}

void PythonAllReduce::begin(const GradientPart& part) {
  const GilAcquire acquire(state_);
  const py::object handle = call(all_reduce_, array_over(part.values, part.size));
  if (!handle.is_none()) waits_.push_back(wait_of(handle));
}

void PythonAllReduce::finish() {
  if (waits_.empty()) return;
  const GilAcquire acquire(state_);
  for (const py::object& wait : waits_) call(wait);
}

}  // namespace mpsmnist::bindings
