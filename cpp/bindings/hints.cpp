#include "hints.h"

#include <algorithm>
#include <utility>

#include "arguments.h"
#include "python_calls.h"

namespace mpsmnist::bindings {
namespace {

/// The text of an attribute, or "": whatever goes wrong here must not hide the error that the hint is for.
std::string attribute_text(py::handle object, const char* name) {
  try {
    return has_attribute(object, name) ? utf8(get_attribute(object, name)) : "";
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    return "";
  }
}

std::string to_dtype(py::handle object, const std::string& wanted) {
  if (has_attribute(object, "astype")) return ".astype(numpy." + wanted + ")";
  if (!has_attribute(object, "detach")) return "";  // no tensor of PyTorch
  return wanted == "float32" ? ".float()" : wanted == "uint8" ? ".byte()" : ".long()";
}

/// The least and the greatest of the values; of none, zeros.
std::pair<double, double> range(const py::array& numbers) {
  if (numbers.size() == 0) return {0, 0};
  const py::object numpy = import_module("numpy");
  const py::object plain = call(get_attribute(numpy, "asarray"), numbers);  // methods of subclasses are not trusted
  const auto extreme = [&](const char* name) {
    return parse_number("images", call(get_attribute(numpy, name), plain));
  };
  return {extreme("min"), extreme("max")};
}

bool is_unit_scale(const std::pair<double, double>& range) { return range.first >= 0 && range.second <= 1; }

/// Whether they are levels of 0 to 255: 0 to 16 and their like, of which bytes would be nearly black, are not.
bool is_byte_scale(const std::pair<double, double>& range) {
  return range.first >= 0 && range.second >= 128 && range.second <= 255;
}

/// How far beyond 0 and 1 cubic and Lanczos filters lead at edges: by less than this.
constexpr double kOvershoot = 0.25;

constexpr char kMeant[] = "Trainer(standardized=True) if they are meant to be ";

}  // namespace

std::string expression(const std::string& name) {
  const auto colon = name.find(": ");
  return colon == std::string::npos ? name : name.substr(0, colon) + "[" + name.substr(colon + 2) + "]";
}

std::string conversion_hint(const std::string& name, py::handle object, const std::string& wanted) {
  if (attribute_text(object, "is_meta") == "True") return "; a meta tensor has no values";
  std::string calls;
  if (attribute_text(object, "requires_grad") == "True") calls += ".detach()";
  const std::string layout = attribute_text(object, "layout");
  if (has_attribute(object, "to_dense") && !layout.empty() && layout != "torch.strided") calls += ".to_dense()";
  if (has_attribute(object, "toarray")) calls += ".toarray()";  // SciPy's sparse arrays
  const std::string device = attribute_text(object, "device");
  if (has_attribute(object, "cpu") && !device.empty() && device != "cpu") calls += ".cpu()";
  const bool bfloat16 = attribute_text(object, "dtype").ends_with("bfloat16");  // NumPy has no such dtype
  if (bfloat16 || !wanted.empty()) calls += to_dtype(object, bfloat16 ? "float32" : wanted);
  if (!calls.empty()) return "; use " + expression(name) + calls;
  return wanted.empty() ? "" : "; use numpy.asarray(" + expression(name) + ", numpy." + wanted + ")";
}

std::string image_dtype_hint(py::handle object, const py::array& images) {
  const char kind = images.dtype().kind();
  if (kind == 'b') return conversion_hint("images", object, "float32");
  if (kind == 'i' || kind == 'u') {
    const auto levels = range(images);
    if (is_unit_scale(levels)) return conversion_hint("images", object, "float32");
    if (is_byte_scale(levels)) return conversion_hint("images", object, "uint8");
    return "; scale them to 0 to 1, as float32";
  }
  if (kind == 'f') return conversion_hint("images", object, is_byte_scale(range(images)) ? "uint8" : "float32");
  const bool other_float = utf8(images.dtype()).find("float") != std::string::npos;  // of ml_dtypes
  return conversion_hint("images", object, other_float ? "float32" : "");
}

std::string image_scale_hint(py::handle object, const py::array& images) {
  if (images.dtype().kind() == 'u') {
    return conversion_hint("images", object, "float32") + " if 1 stands for white, or " + kMeant + "so dark";
  }
  const auto [least, greatest] = range(images);
  if (least >= -1.0 / 128 && greatest <= 1.0 / 128) {
    return std::string("; use images * 255 if they were divided by 255 twice, or ") + kMeant + "so dark";
  }
  const std::string standardized = ", or Trainer(standardized=True) if they are standardized";
  if (least >= -kOvershoot && greatest <= 1 + kOvershoot) {
    const std::string clipped = has_attribute(object, "clip") ? "images.clip(0, 1)" : "numpy.clip(images, 0, 1)";
    return "; use " + clipped + " if interpolation went past these limits" + standardized;
  }
  return conversion_hint("images", object, "uint8") + " or images / 255 if they are of 0 to 255" + standardized;
}

std::string image_shape_hint(const Shape& shape) {
  if (shape == Shape{28, 28} || shape == Shape{784} || shape == Shape{28, 28, 1}) {
    return "; use images[None] for one image";
  }
  if (shape.size() != 3 && shape.size() != 4) return "";
  const auto is_colours = [](std::int64_t size) { return size == 3 || size == 4; };
  if (is_colours(shape.back()) || (shape.size() == 4 && is_colours(shape[1]))) {
    return "; colours: average the channels";
  }
  const bool grey = shape.size() == 3 || shape.back() == 1 || shape[1] == 1;
  return grey ? "; scale other sizes to 28 x 28 pixels" : "";
}

std::string label_shape_hint(const Shape& shape) {
  if (shape.size() != 2) return "";
  return shape[1] == 1 ? "; use numpy.ravel(labels)" : "; use numpy.argmax(labels, axis=1) for one-hot rows";
}

}  // namespace mpsmnist::bindings
