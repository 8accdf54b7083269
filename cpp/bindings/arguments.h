// From Python objects to plain values. The errors name the argument, its value and what was expected.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

namespace mpsmnist::bindings {

namespace py = pybind11;

/// A string's text; what UTF-8 cannot encode is escaped.
std::string utf8(py::handle text);
/// The object's repr on one line and of bounded length, for messages.
std::string shown(py::handle object);
/// A number as people write it: six digits.
std::string shown(double value);
/// The name of the object's type.
std::string type_name(py::handle object);

std::string parse_text(const std::string& name, py::handle object);
/// True or False, of Python or of NumPy.
bool parse_flag(const std::string& name, py::handle object);
/// Anything with __float__ or __index__.
double parse_number(const std::string& name, py::handle object);
/// Anything with __index__. `expected`, such as "2 to 100000", is for numbers past 64 bits.
std::int64_t parse_integer(const std::string& name, py::handle object, const std::string& expected);
/// The same, from 0 to 2**64 - 1.
std::uint64_t parse_unsigned(const std::string& name, py::handle object);

}  // namespace mpsmnist::bindings
