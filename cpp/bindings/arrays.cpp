#include "arrays.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <vector>

namespace mpsmnist::bindings {
namespace {

constexpr py::ssize_t kSide = 28;
constexpr py::ssize_t kPixels = kSide * kSide;
constexpr int kDlpackCpu = 1;  // DLDeviceType in dlpack.h

std::string text(py::handle object) { return py::str(object).cast<std::string>(); }

std::string shape_text(const py::array& array) { return text(array.attr("shape")); }

std::string shape_text(const std::vector<std::int64_t>& shape) { return text(py::tuple(py::cast(shape))); }

bool is_cpu_dlpack(const std::string& name, py::handle object) {
  if (!py::hasattr(object, "__dlpack__") || !py::hasattr(object, "__dlpack_device__")) return false;
  const py::tuple device = object.attr("__dlpack_device__")();
  if (device[0].cast<int>() != kDlpackCpu) {
    throw py::type_error(name + ": a " + text(py::type::of(object).attr("__name__")) +
                         " on another device (DLPack type " + text(py::int_(device[0])) +
                         "); expected data in the CPU's memory: move it there first");
  }
  return true;
}

/// Any array-like as a NumPy array, without a copy where possible.
py::array to_array(const std::string& name, py::handle object) {
  if (py::isinstance<py::array>(object)) return py::reinterpret_borrow<py::array>(object);
  const py::module_ numpy = py::module_::import("numpy");
  try {
    return numpy.attr(is_cpu_dlpack(name, object) ? "from_dlpack" : "asarray")(object);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;  // KeyboardInterrupt and its like
    py::raise_from(error, PyExc_TypeError, (name + ": a value that NumPy cannot read as an array").c_str());
    throw py::error_already_set();
  }
}

/// Contiguous, aligned and in the machine's byte order: unchanged if it already is.
template <typename T>
py::array_t<T, py::array::c_style> contiguous(const py::array& array) {
  // forcecast: the callers have checked the dtype, and only widen or swap bytes here.
  using Target = py::array_t<T, py::array::c_style | py::array::forcecast>;
  const bool aligned = (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
  if (!aligned) return Target(array.attr("copy")());
  return Target(array);
}

/// A copy, contiguous and aligned. The core checks such an array whole and reads it again later; between the two,
/// callbacks and other threads may change the caller's.
template <typename T>
py::array_t<T, py::array::c_style> copied(const py::array& array) {
  const auto from = contiguous<T>(array);
  py::array_t<T, py::array::c_style> copy(std::vector<py::ssize_t>(from.shape(), from.shape() + from.ndim()));
  std::copy_n(from.data(), from.size(), copy.mutable_data());
  return copy;
}

bool holds_images(const py::array& array) {
  const auto is = [&](py::ssize_t a, py::ssize_t b, py::ssize_t c) {
    return array.shape(1) == a && array.shape(2) == b && array.shape(3) == c;
  };
  switch (array.ndim()) {
    case 2:
      return array.shape(1) == kPixels;
    case 3:
      return array.shape(1) == kSide && array.shape(2) == kSide;
    case 4:
      return is(kSide, kSide, 1) || is(1, kSide, kSide);
    default:
      return false;
  }
}

template <typename T>
BorrowedLabels class_numbers(const py::array& array) {
  auto owner = copied<T>(array);
  return {owner, {static_cast<const T*>(owner.data()), owner.shape(0)}};
}

BorrowedLabels integer_labels(const py::array& array) {
  if (array.ndim() != 1) {
    throw py::value_error("labels: integers of shape " + shape_text(array) + "; expected class numbers of shape (n,)");
  }
  if (py::isinstance<py::array_t<std::uint8_t>>(array)) return class_numbers<std::uint8_t>(array);
  if (py::isinstance<py::array_t<std::int32_t>>(array)) return class_numbers<std::int32_t>(array);
  const bool unsigned64 = array.dtype().kind() == 'u' && array.itemsize() == sizeof(std::uint64_t);
  if (unsigned64) return class_numbers<std::uint64_t>(array);
  return class_numbers<std::int64_t>(array);
}

BorrowedLabels probability_labels(const py::array& array, int num_classes) {
  if (array.ndim() != 2 || array.shape(1) != num_classes) {
    throw py::value_error("labels: floats of shape " + shape_text(array) + "; expected one row of " +
                          std::to_string(num_classes) + " probabilities per image, (n, " + std::to_string(num_classes) +
                          "), or integer class numbers (n,)");
  }
  auto owner = copied<float>(array);
  return {owner, {static_cast<const float*>(owner.data()), owner.shape(0)}};
}

bool is_integer(const py::array& array) { return array.dtype().kind() == 'i' || array.dtype().kind() == 'u'; }

}  // namespace

BorrowedImages borrow_images(py::handle object) {
  const py::array array = to_array("images", object);
  const py::dtype dtype = array.dtype();
  const bool bytes = dtype.kind() == 'u' && dtype.itemsize() == 1;
  const bool floats = dtype.kind() == 'f' && dtype.itemsize() == 4;
  if (!bytes && !floats) {
    throw py::type_error("images: dtype " + text(dtype) + "; expected uint8 (0 to 255) or float32 (0 to 1)" +
                         (dtype.kind() == 'f' ? ": use images.astype(numpy.float32)" : ""));
  }
  if (!holds_images(array)) {
    throw py::value_error("images: shape " + shape_text(array) +
                          "; expected (n, 784), (n, 28, 28), (n, 28, 28, 1) or (n, 1, 28, 28)");
  }
  if (bytes) {
    auto owner = contiguous<std::uint8_t>(array);
    return {owner, {owner.data(), owner.shape(0)}};
  }
  auto owner = contiguous<float>(array);
  return {owner, {owner.data(), owner.shape(0)}};
}

BorrowedLabels borrow_labels(py::handle object, int num_classes) {
  const py::array array = to_array("labels", object);
  if (is_integer(array)) return integer_labels(array);
  if (array.dtype().kind() == 'f') return probability_labels(array, num_classes);
  throw py::type_error("labels: dtype " + text(array.dtype()) +
                       "; expected integer class numbers (n,) or float probabilities (n, " +
                       std::to_string(num_classes) + ")");
}

BorrowedBatches borrow_batches(py::handle object) {
  const py::array array = to_array("batches", object);
  if (!is_integer(array)) {
    throw py::type_error("batches: dtype " + text(array.dtype()) + "; expected integer indices");
  }
  if (array.ndim() != 2) {
    throw py::value_error("batches: shape " + shape_text(array) +
                          "; expected (steps, batch size), a row of indices a step");
  }
  auto owner = copied<std::int64_t>(array);
  return {owner, {owner.data(), owner.shape(0), owner.shape(1)}};
}

py::array_t<float> borrow_floats(const std::string& name, py::handle object, const std::vector<std::int64_t>& shape) {
  const py::array array = to_array(name, object);
  if (array.dtype().kind() != 'f') {
    throw py::type_error(name + ": dtype " + text(array.dtype()) + "; expected floats");
  }
  const std::vector<std::int64_t> found(array.shape(), array.shape() + array.ndim());
  if (found != shape) {
    throw py::value_error(name + ": shape " + shape_text(array) + "; expected " + shape_text(shape));
  }
  return contiguous<float>(array);
}

}  // namespace mpsmnist::bindings
