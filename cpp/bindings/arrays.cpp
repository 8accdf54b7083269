#include "arrays.h"

#include <pybind11/stl.h>

#include <algorithm>

#include "arguments.h"
#include "hints.h"
#include "python_calls.h"

namespace mpsmnist::bindings {
namespace {

constexpr std::int64_t kSide = 28;
constexpr std::int64_t kPixels = kSide * kSide;

std::string text(py::handle object) { return utf8(object); }
std::string text(const Shape& shape) { return text(py::tuple(py::cast(shape))); }

Shape shape_of(const py::array& array) { return Shape(array.shape(), array.shape() + array.ndim()); }

bool is_integer(const py::array& array) { return array.dtype().kind() == 'i' || array.dtype().kind() == 'u'; }
bool is_float(const py::array& array) { return array.dtype().kind() == 'f'; }
bool is_bytes(const py::array& array) {
  return array.dtype().kind() == 'u' && array.itemsize() == sizeof(std::uint8_t);
}

/// Whether DLPack's device type (DLDeviceType in dlpack.h) means memory that the CPU reads; NumPy takes the same ones.
bool is_host_memory(std::int64_t device_type) {
  constexpr std::int64_t kHost[] = {1 /*CPU*/, 3 /*CUDAHost*/, 11 /*ROCMHost*/, 13 /*CUDAManaged*/};
  return std::find(std::begin(kHost), std::end(kHost), device_type) != std::end(kHost);
}

/// Whether to read the object through DLPack. Throws if its data is on another device.
bool is_dlpack(const std::string& name, py::handle object) {
  if (!has_attribute(object, "__dlpack__") || !has_attribute(object, "__dlpack_device__")) return false;
  const py::object device = call(get_attribute(object, "__dlpack_device__"));
  if (!py::isinstance<py::tuple>(device) || py::len(device) != 2) {
    throw py::type_error(name + ": __dlpack_device__() is " + shown(device) + "; expected a pair of integers");
  }
  const py::object device_type = py::tuple(device)[0];
  if (!is_host_memory(parse_integer(name + ": __dlpack_device__()[0]", device_type, "a device type of DLPack"))) {
    const std::string hint = conversion_hint(name, object);
    throw py::type_error(name + ": a " + type_name(object) + " on another device (DLPack type " +
                         text(py::int_(device_type)) + "); expected data in the CPU's memory" +
                         (hint.empty() ? ": move it there first" : hint));
  }
  return true;
}

void refuse_masked(const std::string& name, const py::array& array) {
  if (py::type::of(array).is(py::type::of(py::array()))) return;
  if (!is_instance(array, get_attribute(import_module("numpy.ma"), "MaskedArray"))) return;
  throw py::type_error(name + ": a masked array; expected all values: use " + name + ".filled(VALUE)");
}

/// PyTorch exports the memory of a tensor that has this bit as it lies: its values have the other sign.
void refuse_negated(const std::string& name, py::handle object) {
  if (!has_attribute(object, "is_neg") || !py::bool_(call(get_attribute(object, "is_neg")))) return;
  throw py::type_error(name + ": a " + type_name(object) + " that is negated when it is read; use " + expression(name) +
                       ".resolve_neg()");
}

/// Any array-like as a NumPy array, without a copy where possible.
py::array to_array(const std::string& name, py::handle object) {
  if (py::isinstance<py::array>(object)) {
    auto array = py::reinterpret_borrow<py::array>(object);
    refuse_masked(name, array);
    return array;
  }
  const py::object numpy = import_module("numpy");
  try {
    refuse_negated(name, object);
    return call(get_attribute(numpy, is_dlpack(name, object) ? "from_dlpack" : "asarray"), object);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;  // KeyboardInterrupt and its like
    const std::string hint = conversion_hint(name, object);
    py::raise_from(error, PyExc_TypeError,
                   (name + ": a " + type_name(object) + " that NumPy cannot read as an array" + hint).c_str());
    throw py::error_already_set();
  }
}

/// Contiguous, aligned and in the machine's byte order: the array itself if it already is, else a copy. By NumPy's C
/// functions alone, as a subclass may have methods that return anything.
template <typename T>
py::array_t<T> contiguous(const py::array& array) {
  // forcecast: the callers have checked the dtype, and only widen or swap bytes here.
  using Api = py::detail::npy_api;
  constexpr int kFlags =
      py::array::c_style | py::array::forcecast | Api::NPY_ARRAY_ALIGNED_ | Api::NPY_ARRAY_ENSUREARRAY_;
  const Api& numpy = Api::get();
  PyObject* const dtype = py::dtype::of<T>().release().ptr();  // which NumPy takes over
  return py::reinterpret_steal<py::array_t<T>>(
      new_reference([&] { return numpy.PyArray_FromAny_(array.ptr(), dtype, 0, 0, kFlags, nullptr); }).release());
}

bool holds_images(const Shape& shape) {
  switch (shape.size()) {
    case 2:
      return shape[1] == kPixels;
    case 3:
      return shape[1] == kSide && shape[2] == kSide;
    case 4:
      return shape == Shape{shape[0], kSide, kSide, 1} || shape == Shape{shape[0], 1, kSide, kSide};
    default:
      return false;
  }
}

void check_image_shape(const Shape& shape) {
  if (holds_images(shape)) return;
  throw py::value_error("images: shape " + text(shape) +
                        "; expected (n, 784), (n, 28, 28), (n, 28, 28, 1) or (n, 1, 28, 28)" + image_shape_hint(shape));
}

template <typename T>
BorrowedImages images_of(const py::array& array) {
  const auto owner = contiguous<T>(array);
  return {owner, {owner.data(), owner.shape(0)}};
}

template <typename T>
BorrowedLabels labels_of(const py::array& array) {
  const auto owner = contiguous<T>(array);
  return {owner, {owner.data(), owner.shape(0)}};
}

BorrowedLabels integer_labels(const py::array& array) {
  if (array.ndim() != 1) {
    const Shape shape = shape_of(array);
    throw py::value_error("labels: integers of shape " + text(shape) + "; expected class numbers of shape (n,)" +
                          label_shape_hint(shape));
  }
  if (py::isinstance<py::array_t<std::uint8_t>>(array)) return labels_of<std::uint8_t>(array);
  if (py::isinstance<py::array_t<std::int32_t>>(array)) return labels_of<std::int32_t>(array);
  const bool unsigned64 = array.dtype().kind() == 'u' && array.itemsize() == sizeof(std::uint64_t);
  if (unsigned64) return labels_of<std::uint64_t>(array);
  return labels_of<std::int64_t>(array);
}

BorrowedLabels probability_labels(const py::array& array, py::handle object, int num_classes) {
  const Shape shape = shape_of(array);
  if (shape.size() == 1) {
    throw py::value_error("labels: floats of shape " + text(shape) + "; expected (n, " + std::to_string(num_classes) +
                          ") probabilities, or integer class numbers (n,)" +
                          conversion_hint("labels", object, "int64"));
  }
  if (shape.size() != 2 || shape[1] != num_classes) {
    throw py::value_error("labels: floats of shape " + text(shape) + "; expected one row of " +
                          std::to_string(num_classes) + " probabilities per image, (n, " + std::to_string(num_classes) +
                          "), or integer class numbers (n,)");
  }
  return labels_of<float>(array);
}

[[noreturn]] void refuse_image_dtype(const py::array& array, py::handle object) {
  throw py::type_error("images: dtype " + text(array.dtype()) + "; expected uint8 (0 to 255) or float32 (0 to 1)" +
                       image_dtype_hint(object, array));
}

}  // namespace

BorrowedImages borrow_images(py::handle object) {
  const py::array array = to_array("images", object);
  const Shape shape = shape_of(array);
  if (shape.size() == 1 && shape[0] != kPixels && is_integer(array)) {
    throw py::value_error("images: integers of shape " + text(shape) +
                          ", like labels; expected images first, then labels");
  }
  const bool bytes = is_bytes(array);
  const bool floats = is_float(array) && array.itemsize() == sizeof(float);
  if (!bytes && !floats) refuse_image_dtype(array, object);
  check_image_shape(shape);
  return bytes ? images_of<std::uint8_t>(array) : images_of<float>(array);
}

BorrowedImages borrow_byte_images(py::handle object) {
  const py::array array = to_array("images", object);
  if (!is_bytes(array)) {
    const char* scaled = "; from floats of 0 to 1: numpy.rint(255 * numpy.asarray(images)).astype(numpy.uint8)";
    throw py::type_error("images: dtype " + text(array.dtype()) + "; expected uint8 (0 to 255)" +
                         (is_integer(array) ? conversion_hint("images", object, "uint8") : scaled));
  }
  check_image_shape(shape_of(array));
  return images_of<std::uint8_t>(array);
}

BorrowedLabels borrow_labels(py::handle object, int num_classes) {
  const py::array array = to_array("labels", object);
  if (is_integer(array)) return integer_labels(array);
  if (is_float(array)) return probability_labels(array, object, num_classes);
  const bool flags = array.dtype().kind() == 'b' && array.ndim() == 2;
  throw py::type_error("labels: dtype " + text(array.dtype()) +
                       "; expected integer class numbers (n,) or float probabilities (n, " +
                       std::to_string(num_classes) + ")" + conversion_hint("labels", object, flags ? "float32" : ""));
}

BorrowedBatches borrow_batches(py::handle object) {
  const py::array array = to_array("batches", object);
  if (!is_integer(array)) {
    throw py::type_error("batches: dtype " + text(array.dtype()) + "; expected integer indices");
  }
  if (array.ndim() != 2) {
    throw py::value_error("batches: shape " + text(shape_of(array)) +
                          "; expected (steps, batch size), a row of indices a step");
  }
  const auto owner = contiguous<std::int64_t>(array);
  return {owner, {owner.data(), owner.shape(0), owner.shape(1)}};
}

py::array_t<std::uint64_t> borrow_unsigned(const std::string& name, py::handle object) {
  const py::array array = to_array(name, object);
  if (!is_integer(array)) {
    throw py::type_error(name + ": dtype " + text(array.dtype()) + "; expected integers from 0 to 2**64 - 1");
  }
  if (array.dtype().kind() == 'i') {
    const auto values = contiguous<std::int64_t>(array);
    const auto* end = values.data() + values.size();
    const auto* negative = std::find_if(values.data(), end, [](std::int64_t value) { return value < 0; });
    if (negative != end) throw py::value_error(name + ": " + std::to_string(*negative) + "; expected 0 to 2**64 - 1");
  }
  return contiguous<std::uint64_t>(array);
}

py::array_t<float> borrow_floats(const std::string& name, py::handle object, const Shape& shape) {
  const py::array array = to_array(name, object);
  if (!is_float(array)) {
    throw py::type_error(name + ": dtype " + text(array.dtype()) + "; expected floats");
  }
  const Shape found = shape_of(array);
  if (found != shape) throw py::value_error(name + ": shape " + text(found) + "; expected " + text(shape));
  return contiguous<float>(array);
}

}  // namespace mpsmnist::bindings
