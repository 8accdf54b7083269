#include "named_gradients.h"

#include <algorithm>
#include <utility>

#include "arguments.h"

namespace mpsmnist::bindings {
namespace {

using namespace py::literals;

/// A view of the mapping by one of the classes of collections.abc, such as ItemsView.
template <const char* kClass>
py::object mapping_view(const py::object& self) {
  return py::module_::import("collections.abc").attr(kClass)(self);
}

constexpr char kKeysView[] = "KeysView";
constexpr char kValuesView[] = "ValuesView";
constexpr char kItemsView[] = "ItemsView";

py::list names(const NamedGradients& self) {
  py::list list;
  for (const Parameter& parameter : self.parameters) list.append(parameter.name);
  return list;
}

py::object get(const NamedGradients& self, py::handle name, const py::object& fallback) {
  const Parameter* parameter = self.find(name);
  return parameter == nullptr ? fallback : view_of(self.flat, *parameter);
}

}  // namespace

std::string join(const std::vector<Parameter>& parameters) {
  std::string names;
  for (const Parameter& parameter : parameters) names += (names.empty() ? "" : ", ") + parameter.name;
  return names;
}

py::array_t<float> array_over(std::shared_ptr<float[]> flat, std::int64_t size) {
  float* values = flat.get();
  auto owner = std::make_unique<std::shared_ptr<float[]>>(std::move(flat));
  const py::capsule base(owner.get(), [](void* held) { delete static_cast<std::shared_ptr<float[]>*>(held); });
  owner.release();
  return py::array_t<float>(size, values, base);
}

py::array_t<float> view_of(const py::array_t<float>& flat, const Parameter& parameter) {
  return py::array_t<float>(parameter.shape, flat.data() + parameter.offset, flat);
}

const Parameter* NamedGradients::find(py::handle name) const {
  if (!py::isinstance<py::str>(name)) return nullptr;
  const auto found = std::find_if(parameters.begin(), parameters.end(), [&](const Parameter& parameter) {
    return PyUnicode_CompareWithASCIIString(name.ptr(), parameter.name.c_str()) == 0;
  });
  return found == parameters.end() ? nullptr : &*found;
}

py::array_t<float> NamedGradients::at(py::handle name) const {
  const Parameter* parameter = find(name);
  if (parameter == nullptr) throw py::key_error(shown(name) + "; expected one of " + join(parameters));
  return view_of(flat, *parameter);
}

void bind_gradients(py::module_& m) {
  Class<NamedGradients>(m, "Gradients",
                        "Gradients of the mean loss over a batch: a mapping; g[\"conv0.weight\"] is a view of .flat.")
      .def_property_readonly(
          "loss", [](const NamedGradients& self) { return self.loss; }, "The batch's mean loss.")
      .def_property_readonly(
          "flat", [](const NamedGradients& self) { return self.flat; },
          "All gradients, float32 (P,), in the order of state_dict().")
      .def("__getitem__", &NamedGradients::at, "name"_a, py::pos_only(), "The gradient of one parameter, in its shape.")
      .def("__iter__", [](const NamedGradients& self) { return py::iter(names(self)); })
      .def("__len__", [](const NamedGradients& self) { return self.parameters.size(); })
      .def(
          "__contains__", [](const NamedGradients& self, py::handle name) { return self.find(name) != nullptr; },
          "name"_a, py::pos_only())
      .def("keys", &mapping_view<kKeysView>, "The parameters' names, in order.")
      .def("values", &mapping_view<kValuesView>, "Their gradients.")
      .def("items", &mapping_view<kItemsView>, "Names and gradients.")
      .def("get", &get, "name"_a, "default"_a = py::none(), py::pos_only(),
           "The gradient of the parameter `name`, or `default` if there is none of that name.")
      .def("__repr__",
           [](const NamedGradients& self) {
             return "<Gradients of " + std::to_string(self.flat.size()) + " parameters, loss " +
                    shown(double{self.loss}) + ">";
           })
      .def_uncopyable("keep .flat.copy(), which apply_gradients() takes");
  py::module_::import("collections.abc").attr("Mapping").attr("register")(m.attr("Gradients"));
}

}  // namespace mpsmnist::bindings
