// Python's Gradients: a mapping of the parameters' names to views of one flat array.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "class.h"
#include "mpsmnist/mpsmnist.h"

namespace mpsmnist::bindings {

/// The parameters' names, with commas.
std::string join(const std::vector<Parameter>& parameters);

/// An array (size,) over memory that the core shares.
py::array_t<float> array_over(std::shared_ptr<float[]> flat, std::int64_t size);

/// The part of flat (P,) that one parameter is, as a view with its shape.
py::array_t<float> view_of(const py::array_t<float>& flat, const Parameter& parameter);

struct NamedGradients {
  /// Null if no parameter has this name.
  const Parameter* find(py::handle name) const;
  py::array_t<float> at(py::handle name) const;

  float loss;
  py::array_t<float> flat;
  std::vector<Parameter> parameters;
};

void bind_gradients(py::module_& m);

}  // namespace mpsmnist::bindings

template <>
class pybind11::detail::type_caster<mpsmnist::bindings::NamedGradients>
    : public mpsmnist::bindings::SelfCaster<mpsmnist::bindings::NamedGradients> {};
