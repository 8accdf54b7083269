// pybind11's def() and class_, with signatures, one-line errors and a self that is always a finished object.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <utility>

#include "arguments.h"
#include "python_calls.h"
#include "signature.h"

namespace mpsmnist::bindings {

/// Loads self. An object that __new__ made and __init__ never saw has no C++ value: pybind11 would hand out fresh
/// memory in its place.
template <typename T>
class SelfCaster : public py::detail::type_caster_base<T> {
 public:
  bool load(py::handle source, bool convert) {
    const auto type = py::type::of<T>();
    if (!is_instance(source, type)) {
      throw py::type_error("self: " + shown(source) + "; expected a " + name_of(type));
    }
    auto* instance = reinterpret_cast<py::detail::instance*>(source.ptr());
    if (!instance->get_value_and_holder().holder_constructed()) {
      throw py::type_error("self: a " + name_of(type) + " without its __init__; expected a finished one");
    }
    return py::detail::type_caster_base<T>::load(source, convert);
  }

 private:
  static std::string name_of(py::handle type) { return utf8(type.attr("__name__")); }
};

/// module.def(), for a function whose parameters are objects.
template <typename Function, typename... Extra>
void define(py::module_& module, const char* name, Function&& function, const Extra&... extra) {
  const Signature signature(name, extra...);
  module.def(name, std::forward<Function>(function), extra..., signature.doc(name).c_str());
  module.def(name, [signature](const py::args& args, const py::kwargs& kwargs) { signature.refuse(args, kwargs); });
}

/// class_, for methods whose parameters, but for self, are objects.
template <typename T, typename Holder = std::unique_ptr<T>>
class Class : private py::class_<T, Holder> {
  using Base = py::class_<T, Holder>;

 public:
  /// Without a constructor: only the core makes these.
  Class(py::module_& module, const char* name, const char* doc)
      : Base(module, name, py::is_final(), doc), name_(name) {}

  /// With the constructor make(arguments...) -> Holder, whose parameters and docstring are `extra`.
  template <typename... Arguments, typename... Extra>
  Class(py::module_& module, const char* name, const char* doc, Holder (*make)(Arguments...), const Extra&... extra)
      : Base(module, name, py::is_final(), Signature(name, extra..., doc).doc(name).c_str()), name_(name) {
    const Signature signature(name, extra...);
    // As py::init() does it, but that `make` may run Python code, which may have finished this object meanwhile.
    const auto construct = [make, name](py::detail::value_and_holder& self, Arguments... arguments) {
      Holder made = make(arguments...);
      if (self.value_ptr() != nullptr) throw py::type_error(std::string(name) + "(): __init__ ran twice at once");
      py::detail::initimpl::construct<Base>(self, std::move(made), false);
    };
    Base::def("__init__", construct, py::detail::is_new_style_constructor(), extra...,
              signature.doc("__init__", "self").c_str());
    Base::def(py::init(
        [signature](const py::args& args, const py::kwargs& kwargs) -> Holder { signature.refuse(args, kwargs); }));
  }

  template <typename Function, typename... Extra>
  Class& def(const char* name, Function&& function, const Extra&... extra) {
    const Signature signature(name_ + "." + name, extra...);
    Base::def(name, std::forward<Function>(function), extra..., signature.doc(name, "self").c_str());
    Base::def(name, [signature](const T& /*self*/, const py::args& args, const py::kwargs& kwargs) {
      signature.refuse(args, kwargs);
    });
    return *this;
  }

  /// copy, deepcopy and pickle raise a TypeError that says what to do `instead`.
  Class& def_uncopyable(const std::string& instead) {
    return def("__reduce__", [text = "a " + name_ + " cannot be copied or pickled: " + instead](const T& /*self*/) {
      throw py::type_error(text);
    });
  }

  template <typename... Arguments>
  Class& def_property_readonly(Arguments&&... arguments) {
    Base::def_property_readonly(std::forward<Arguments>(arguments)...);
    return *this;
  }

  template <typename... Arguments>
  Class& def_property(Arguments&&... arguments) {
    Base::def_property(std::forward<Arguments>(arguments)...);
    return *this;
  }

 private:
  std::string name_;
};

}  // namespace mpsmnist::bindings
