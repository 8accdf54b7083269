#include "hints.h"

#include <algorithm>

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

}  // namespace

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
  if (!calls.empty()) return "; use " + name + calls;
  return wanted.empty() ? "" : "; use numpy.asarray(" + name + ", numpy." + wanted + ")";
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
