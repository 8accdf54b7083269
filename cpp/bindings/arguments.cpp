#include "arguments.h"

#include "python_calls.h"

namespace mpsmnist::bindings {
namespace {

/// Takes the error of a conversion away: ours follows. Those that no bad value causes, such as KeyboardInterrupt, stay.
void clear_error() {
  if (PyErr_ExceptionMatches(PyExc_Exception) == 0) throw py::error_already_set();
  PyErr_Clear();
}

py::int_ parse_index(const std::string& name, py::handle object) {
  auto integer = py::reinterpret_steal<py::object>(or_hang([&] { return PyNumber_Index(object.ptr()); }));
  if (!integer) {
    clear_error();
    throw py::type_error(name + ": " + shown(object) + "; expected an integer");
  }
  return py::reinterpret_steal<py::int_>(integer.release());
}

}  // namespace

std::string utf8(py::handle text) {
  const py::object string = new_reference([&] { return PyObject_Str(text.ptr()); });
  const py::object bytes =
      new_reference([&] { return PyUnicode_AsEncodedString(string.ptr(), "utf-8", "backslashreplace"); });
  return bytes.cast<std::string>();
}

std::string type_name(py::handle object) {
  const std::string name = Py_TYPE(object.ptr())->tp_name;  // of types written in C, with its module
  return name.substr(name.rfind('.') + 1);
}

std::string shown(py::handle object) {
  try {
    const py::object text = call(get_attribute(import_module("reprlib"), "repr"), object);
    return utf8(py::str(" ").attr("join")(text.attr("split")()));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    return "a value of type " + type_name(object);  // an integer of too many digits, for one
  }
}

std::string shown(double value) { return py::str("{:g}").format(value).cast<std::string>(); }

std::string parse_text(const std::string& name, py::handle object) {
  if (!py::isinstance<py::str>(object)) throw py::type_error(name + ": " + shown(object) + "; expected a string");
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (text == nullptr) {
    clear_error();
    throw py::value_error(name + ": " + shown(object) + "; expected text that UTF-8 can encode");
  }
  return {text, static_cast<std::size_t>(size)};
}

bool parse_flag(const std::string& name, py::handle object) {
  py::detail::make_caster<bool> flag;
  if (!flag.load(object, false)) throw py::type_error(name + ": " + shown(object) + "; expected True or False");
  return static_cast<bool>(flag);
}

double parse_number(const std::string& name, py::handle object) {
  const double value = or_hang([&] { return PyFloat_AsDouble(object.ptr()); });
  if (PyErr_Occurred() == nullptr) return value;
  const bool too_large = PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
  clear_error();
  if (too_large) throw py::value_error(name + ": " + shown(object) + "; expected a number that a float32 can hold");
  throw py::type_error(name + ": " + shown(object) + "; expected a number");
}

std::int64_t parse_integer(const std::string& name, py::handle object, const std::string& expected) {
  const py::int_ integer = parse_index(name, object);
  const std::int64_t value = PyLong_AsLongLong(integer.ptr());
  if (PyErr_Occurred() != nullptr) {
    clear_error();
    throw py::value_error(name + ": " + shown(integer) + "; expected " + expected);
  }
  return value;
}

std::uint64_t parse_unsigned(const std::string& name, py::handle object) {
  const py::int_ integer = parse_index(name, object);
  const std::uint64_t value = PyLong_AsUnsignedLongLong(integer.ptr());
  if (PyErr_Occurred() != nullptr) {
    clear_error();
    throw py::value_error(name + ": " + shown(integer) + "; expected 0 to 2**64 - 1");
  }
  return value;
}

}  // namespace mpsmnist::bindings
