// The Python function that adds up gradients over processes, as the core calls it.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "mpsmnist/mpsmnist.h"

namespace mpsmnist::bindings {
namespace py = pybind11;

/// For one step, on the thread that made it, which holds the GIL then and whenever this goes.
class PythonAllReduce {
 public:
  /// Throws TypeError if it is no function.
  explicit PythonAllReduce(const py::object& all_reduce);
  PythonAllReduce(const PythonAllReduce&) = delete;
  PythonAllReduce& operator=(const PythonAllReduce&) = delete;

  /// Called without the GIL; what Python raises is thrown. They refer to this object.
  AllReduce hooks(std::int64_t global_batch_size);

 private:
  void begin(const GradientPart& part);
  void finish();

  const py::object& all_reduce_;
  PyThreadState* const state_ = PyThreadState_Get();
  std::vector<py::object> waits_;  // to be called before the update
};

}  // namespace mpsmnist::bindings
