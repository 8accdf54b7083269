// Calls that run code of the caller's objects, in which the interpreter may end this thread (see or_hang): each is one
// function of Python's C API, during which no object of ours is made or let go.
#pragma once

#include "gil.h"

namespace mpsmnist::bindings {
namespace py = pybind11;

/// A new reference, or the Python error that a null one stands for, thrown.
template <typename Call>
py::object new_reference(const Call& call) {
  PyObject* const result = or_hang(call);
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

/// callable(*arguments)
template <typename... Arguments>
py::object call(py::handle callable, const Arguments&... arguments) {
  const py::tuple packed = py::make_tuple(arguments...);
  return new_reference([&] { return PyObject_CallObject(callable.ptr(), packed.ptr()); });
}

inline py::object get_attribute(py::handle object, const char* name) {
  return new_reference([&] { return PyObject_GetAttrString(object.ptr(), name); });
}

inline bool has_attribute(py::handle object, const char* name) {
  return or_hang([&] { return PyObject_HasAttrString(object.ptr(), name); }) == 1;
}

inline py::object import_module(const char* name) {
  return new_reference([&] { return PyImport_ImportModule(name); });
}

inline bool is_instance(py::handle object, py::handle type) {
  const int answer = or_hang([&] { return PyObject_IsInstance(object.ptr(), type.ptr()); });
  if (answer < 0) throw py::error_already_set();
  return answer == 1;
}

}  // namespace mpsmnist::bindings
