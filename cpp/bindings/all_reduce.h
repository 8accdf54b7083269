// The Python functions that combine gradients over processes, as the core calls them.
#pragma once

#include <pybind11/numpy.h>
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

/// The same for the one that gathers the factors of fc0.weight's gradient.
class PythonAllGather {
 public:
  PythonAllGather(const py::object& all_gather, std::int64_t global_batch_size);
  PythonAllGather(const PythonAllGather&) = delete;
  PythonAllGather& operator=(const PythonAllGather&) = delete;

  AllGather hooks();

 private:
  void begin(const Factors& factors);
  const float* finish();

  const py::object& all_gather_;
  const std::int64_t global_batch_size_;
  PyThreadState* const state_ = PyThreadState_Get();
  py::object returned_;
  py::array_t<float> rows_;  // of all processes, once they are there
};

}  // namespace mpsmnist::bindings
