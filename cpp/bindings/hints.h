// What a caller can write to make an array-like fit, for the end of an error's text.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "arrays.h"

namespace mpsmnist::bindings {

/// What a caller writes for the argument `name` of our messages: state["fc1.bias"] for state: "fc1.bias".
std::string expression(const std::string& name);

/// "; use NAME.detach().cpu()" and the like: what brings the object's values to where and how NumPy reads them, and
/// then to the dtype `wanted`, unless that is empty. "" where nothing is known to help.
std::string conversion_hint(const std::string& name, py::handle object, const std::string& wanted = "");

/// For images of a dtype that is none, by what they hold: the dtype whose scale that is.
std::string image_dtype_hint(py::handle object, const py::array& images);

/// For images that are a ScaleError: what brings them to a scale that fits, or says that theirs is meant.
std::string image_scale_hint(py::handle object, const py::array& images);

/// For images of a shape that is none.
std::string image_shape_hint(const Shape& shape);

/// For integer labels of a shape that is none.
std::string label_shape_hint(const Shape& shape);

}  // namespace mpsmnist::bindings
