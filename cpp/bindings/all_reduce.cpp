#include "all_reduce.h"

#include <string>

#include "arguments.h"
#include "arrays.h"
#include "gil.h"
#include "named_gradients.h"
#include "python_calls.h"

namespace mpsmnist::bindings {
namespace {

void check_callable(const char* name, const py::object& function) {
  if (PyCallable_Check(function.ptr()) != 0) return;
  throw py::type_error(std::string(name) + ": " + shown(function) + "; expected a function or None");
}

/// How to wait for what a function returned, or null if there is nothing to call. MPI's requests have Wait(), and
/// another wait() for pickled objects; what torch.distributed returns has wait().
py::object wait_of(py::handle handle) {
  for (const char* name : {"Wait", "wait"}) {
    if (!has_attribute(handle, name)) continue;
    py::object wait = get_attribute(handle, name);
    if (PyCallable_Check(wait.ptr()) != 0) return wait;
  }
  return {};
}

}  // namespace

PythonAllReduce::PythonAllReduce(const py::object& all_reduce) : all_reduce_(all_reduce) {
  check_callable("all_reduce", all_reduce);
}

AllReduce PythonAllReduce::hooks(std::int64_t global_batch_size) {
  return {.begin = [this](const GradientPart& part) { begin(part); },
          .finish = [this] { finish(); },
          .global_batch_size = global_batch_size};
}

void PythonAllReduce::begin(const GradientPart& part) {
  const GilAcquire acquire(state_);
  const py::object handle = call(all_reduce_, array_over(part.values, part.size));
  if (handle.is_none()) return;
  const py::object wait = wait_of(handle);
  if (!wait) {
    throw py::type_error("all_reduce: it returned " + shown(handle) +
                         "; expected None, or an object with Wait() or wait()");
  }
  waits_.push_back(wait);
}

void PythonAllReduce::finish() {
  if (waits_.empty()) return;
  const GilAcquire acquire(state_);
  for (const py::object& wait : waits_) call(wait);
}

PythonAllGather::PythonAllGather(const py::object& all_gather, std::int64_t global_batch_size)
    : all_gather_(all_gather), global_batch_size_(global_batch_size) {
  check_callable("all_gather", all_gather);
}

AllGather PythonAllGather::hooks() {
  return {.begin = [this](const Factors& factors) { begin(factors); }, .finish = [this] { return finish(); }};
}

void PythonAllGather::begin(const Factors& factors) {
  const GilAcquire acquire(state_);
  const auto flat = array_over(factors.rows, factors.count * Factors::kColumns);
  returned_ = call(all_gather_, py::array_t<float>({factors.count, Factors::kColumns}, flat.data(), flat));
}

const float* PythonAllGather::finish() {
  const GilAcquire acquire(state_);
  if (const py::object wait = wait_of(returned_)) returned_ = call(wait);
  if (returned_.is_none()) throw py::type_error("all_gather: it returned None; expected the rows of all processes");
  rows_ = borrow_floats("all_gather: what it returned", returned_, {global_batch_size_, Factors::kColumns});
  return rows_.data();
}

}  // namespace mpsmnist::bindings
