// A bound function's parameters as Python sees them: what inspect.signature reads, and errors in one line.
//
// pybind11 answers a call that does not fit with all that it might have been, on many lines. So bound functions take
// objects of any type and convert them by arguments.h and arrays.h, whose errors name the argument; only a call of the
// wrong form does not fit, and comes to refuse().
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

namespace mpsmnist::bindings {

namespace py = pybind11;

class Signature {
 public:
  /// `extra` is what pybind11's def() takes: arguments, their kinds and the docstring.
  template <typename... Extra>
  explicit Signature(std::string name, const Extra&... extra) : name_(std::move(name)) {
    (add(extra), ...);
  }

  /// The docstring under CPython's first line for it, "name(parameters)", which the attribute __doc__ leaves out.
  /// `first` is the parameter before those of this signature: "self" for methods.
  std::string doc(const std::string& name, const std::string& first = "") const;

  /// Throws the TypeError that says in which way these arguments do not fit.
  [[noreturn]] void refuse(const py::args& args, const py::kwargs& kwargs) const;

 private:
  struct Parameter {
    std::string name;
    std::string default_text;  // empty: it must be given
    bool keyword_only;
  };

  void add(const py::arg& argument) { parameters_.push_back({argument.name, "", keyword_only_}); }
  void add(const py::arg_v& argument) {
    parameters_.push_back({argument.name, py::repr(argument.value).cast<std::string>(), keyword_only_});
  }
  void add(const py::kw_only& /*all that follow*/) { keyword_only_ = true; }
  void add(const py::pos_only& /*all so far*/) { positional_only_ = parameters_.size(); }
  void add(const char* docstring) { docstring_ = docstring; }
  template <typename Other>
  void add(const Other& /*does not concern the parameters*/) {}

  std::string list(const std::string& first = "") const;
  [[noreturn]] void refuse(const std::string& problem) const;

  std::string name_;
  std::vector<Parameter> parameters_;
  std::size_t positional_only_ = 0;
  bool keyword_only_ = false;  // of the next parameter
  std::string docstring_;
};

}  // namespace mpsmnist::bindings
