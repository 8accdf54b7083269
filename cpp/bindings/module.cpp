// The Python module: borrows arrays, releases the GIL, calls the core, translates errors. Nothing else.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

#include "all_reduce.h"
#include "arguments.h"
#include "arrays.h"
#include "class.h"
#include "gil.h"
#include "hints.h"
#include "named_gradients.h"
#include "signals.h"
#include "splitmix64.h"

template <>
class pybind11::detail::type_caster<mpsmnist::Trainer> : public mpsmnist::bindings::SelfCaster<mpsmnist::Trainer> {};
template <>
class pybind11::detail::type_caster<mpsmnist::PendingLoss>
    : public mpsmnist::bindings::SelfCaster<mpsmnist::PendingLoss> {};

namespace mpsmnist::bindings {
namespace {

using namespace py::literals;

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

Init parse_init(py::handle init) {
  const std::string name = parse_text("init", init);
  if (name == "uniform") return Init::kUniform;
  if (name == "he") return Init::kHe;
  throw py::value_error("init: " + quoted(name) + "; expected \"uniform\" or \"he\"");
}

constexpr char kExpectedClasses[] = "2 to 100000";

std::int64_t parse_global_batch_size(py::handle size, std::int64_t images) {
  if (size.is_none()) return images;
  return parse_integer("global_batch_size", size, "an integer, the images of all processes, or None");
}

std::int64_t parse_threads(py::handle threads) {
  if (threads.is_none()) return 0;
  const char* expected = "1 or more, or None for the cores that this process may use";
  const std::int64_t count = parse_integer("threads", threads, expected);
  if (count < 1) throw py::value_error("threads: " + std::to_string(count) + "; expected " + expected);
  return count;
}

/// A Trainer waits for the steps in flight before it is gone: without the GIL.
struct DeleteWithoutGil {
  void operator()(Trainer* trainer) const {
    const GilRelease release;
    delete trainer;
  }
};
using TrainerHolder = std::unique_ptr<Trainer, DeleteWithoutGil>;

TrainerHolder make_trainer(py::handle device, py::handle learning_rate, py::handle momentum, py::handle num_classes,
                           py::handle seed, py::handle init, py::handle threads, py::handle standardized) {
  TrainerOptions options;
  options.device = parse_text("device", device);
  options.learning_rate = parse_number("learning_rate", learning_rate);
  options.momentum = parse_number("momentum", momentum);
  options.num_classes = parse_integer("num_classes", num_classes, kExpectedClasses);
  options.seed = parse_unsigned("seed", seed);
  options.init = parse_init(init);
  options.threads = parse_threads(threads);
  options.standardized = parse_flag("standardized", standardized);
  const GilRelease release;
  return TrainerHolder(new Trainer(options));
}

/// Calls call() without the GIL. If it finds the scale of the images wrong, the error gets a hint for their object.
template <typename Call>
auto with_scale_hint(py::handle object, const BorrowedImages& images, const Call& call) {
  try {
    const GilRelease release;
    return call();
  } catch (const ScaleError& error) {
    throw py::value_error(error.what() + image_scale_hint(object, images.owner));
  }
}

float step(Trainer& self, py::handle images, py::handle labels, const py::object& all_reduce,
           const py::object& all_gather, py::handle global_batch_size) {
  const auto x = borrow_images(images);
  const auto y = borrow_labels(labels, self.num_classes());
  if (all_reduce.is_none()) {
    if (!all_gather.is_none())
      throw py::value_error("all_gather: " + shown(all_gather) + "; expected None without all_reduce");
    if (!global_batch_size.is_none())
      throw py::value_error("global_batch_size: " + shown(global_batch_size) + "; expected None without all_reduce");
    return with_scale_hint(images, x, [&] { return self.step(x.view, y.view); });
  }
  PythonAllReduce reduction(all_reduce);
  const AllReduce hooks = reduction.hooks(parse_global_batch_size(global_batch_size, x.view.count));
  if (all_gather.is_none()) return with_scale_hint(images, x, [&] { return self.step(x.view, y.view, hooks); });
  if (global_batch_size.is_none())
    throw py::value_error("global_batch_size: None; expected the images of all processes, with all_gather");
  PythonAllGather gathering(all_gather, hooks.global_batch_size);
  const AllGather gather_hooks = gathering.hooks();
  return with_scale_hint(images, x, [&] { return self.step(x.view, y.view, hooks, gather_hooks); });
}

PendingLoss step_async(Trainer& self, py::handle images, py::handle labels) {
  const auto x = borrow_images(images);
  const auto y = borrow_labels(labels, self.num_classes());
  return with_scale_hint(images, x, [&] { return self.step_async(x.view, y.view); });
}

bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

/// Whether this is the thread that runs signal handlers. Throws what such a handler raises meanwhile.
bool on_main_thread() {
  try {
    const py::object main = call(get_attribute(import_module("threading"), "main_thread"));
    return get_attribute(main, "ident").cast<unsigned long>() == PyThread_get_thread_ident();
  } catch (const py::error_already_set&) {
    if (!is_finalizing()) throw;  // a signal's handler: it was waiting for some Python to run
    return true;                  // threading is gone, and so are the other threads
  }
}

/// Lets Ctrl-C end a long native call; now and then, because it takes the GIL. Made with the GIL held.
///
/// Other threads than the main one hear no signals, so they do not ask for the GIL: the interpreter may end them then,
/// with the Trainer's lock held.
class SignalCheck {
 public:
  void operator()() {
    if (!enabled_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kInterval) return;
    last_ = now;
    const GilAcquire acquire(state_);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }

 private:
  static constexpr std::chrono::milliseconds kInterval{50};
  bool enabled_ = on_main_thread();
  PyThreadState* state_ = PyThreadState_Get();
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// One C call from the arguments to the result's release: the interpreter may end this thread anywhere in it.
bool call_on_step(const py::object& on_step, std::int64_t step, float loss) {
  return or_hang([&] {
    PyObject* result = PyObject_CallFunction(on_step.ptr(), "Ld", static_cast<long long>(step), double{loss});
    const bool succeeded = result != nullptr;
    Py_XDECREF(result);
    return succeeded;
  });
}

OnStep with_signal_check(const py::object& on_step) {
  if (!on_step.is_none() && PyCallable_Check(on_step.ptr()) == 0) {
    throw py::type_error("on_step: " + shown(on_step) + "; expected a function or None");
  }
  return [&on_step, state = PyThreadState_Get(), check = SignalCheck()](std::int64_t step, float loss) mutable {
    if (!on_step.is_none()) {
      const GilAcquire acquire(state);
      if (!call_on_step(on_step, step, loss)) throw py::error_already_set();
    }
    check();
  };
}

OnImages signal_check() {
  return [check = SignalCheck()](std::int64_t) mutable { check(); };
}

py::array_t<float> run(Trainer& self, py::handle images, py::handle labels, py::handle batches,
                       const py::object& learning_rates, const py::object& on_step) {
  const auto x = borrow_images(images);
  const auto y = borrow_labels(labels, self.num_classes());
  const auto rows = borrow_batches(batches);
  py::array_t<float> rates;
  if (!learning_rates.is_none()) rates = borrow_floats("learning_rates", learning_rates, {rows.view.steps});
  py::array_t<float> losses(rows.view.steps);
  const float* rates_data = learning_rates.is_none() ? nullptr : rates.data();
  float* losses_data = losses.mutable_data();
  const OnStep report = with_signal_check(on_step);
  with_scale_hint(images, x, [&] { self.run(x.view, y.view, rows.view, rates_data, losses_data, report); });
  return losses;
}

py::array_t<float> predict(Trainer& self, py::handle images) {
  const auto x = borrow_images(images);
  py::array_t<float> probabilities({x.view.count, std::int64_t{self.num_classes()}});
  float* data = probabilities.mutable_data();
  const OnImages check = signal_check();
  with_scale_hint(images, x, [&] { self.predict(x.view, data, check); });
  return probabilities;
}

Evaluation evaluate(Trainer& self, py::handle images, py::handle labels) {
  const auto x = borrow_images(images);
  const auto y = borrow_labels(labels, self.num_classes());
  const OnImages check = signal_check();
  return with_scale_hint(images, x, [&] { return self.evaluate(x.view, y.view, check); });
}

NamedGradients gradients(Trainer& self, py::handle images, py::handle labels) {
  const auto x = borrow_images(images);
  const auto y = borrow_labels(labels, self.num_classes());
  Gradients result = with_scale_hint(images, x, [&] { return self.gradients(x.view, y.view); });
  return {result.loss, array_over(std::move(result.flat), self.parameter_count()), self.parameters()};
}

/// Copies the named tensors, whose names start with `prefix`, into one flat (P,) array, checking names and shapes.
py::array_t<float> flatten(const Trainer& self, const std::string& argument, const py::dict& tensors,
                           const std::string& prefix) {
  py::array_t<float> flat(self.parameter_count());
  for (const Parameter& parameter : self.parameters()) {
    const std::string name = prefix + parameter.name;
    if (!tensors.contains(name)) throw py::value_error(argument + ": " + quoted(name) + " is missing");
    const auto values = borrow_floats(argument + ": " + quoted(name), tensors[name.c_str()], parameter.shape);
    std::copy_n(values.data(), parameter.size, flat.mutable_data() + parameter.offset);
  }
  return flat;
}

/// A dict of the mapping's own: PyDict_Next may not walk one that another thread may change.
py::dict copy_mapping(py::handle mapping) {
  py::dict copy;
  if (or_hang([&] { return PyDict_Update(copy.ptr(), mapping.ptr()); }) != 0) throw py::error_already_set();
  return copy;
}

bool is_mapping(py::handle object) { return PyMapping_Check(object.ptr()) != 0 && has_attribute(object, "keys"); }

bool is_parameter(const Trainer& self, std::string_view name) {
  const auto& parameters = self.parameters();
  return std::any_of(parameters.begin(), parameters.end(), [&](const Parameter& p) { return p.name == name; });
}

/// Throws unless `key`, whose name without its prefix is `name`, names a parameter.
void check_name(const Trainer& self, const std::string& argument, py::handle key, std::string_view name) {
  if (py::isinstance<py::str>(key) && is_parameter(self, name)) return;
  throw py::value_error(argument + ": " + shown(key) + " is not a parameter; expected " + join(self.parameters()));
}

py::array_t<float> flat_gradients(const Trainer& self, const py::object& object) {
  if (py::isinstance<NamedGradients>(object)) {
    return borrow_floats("gradients", object.cast<const NamedGradients&>().flat, {self.parameter_count()});
  }
  if (!is_mapping(object)) return borrow_floats("gradients", object, {self.parameter_count()});
  const py::dict tensors = copy_mapping(object);
  for (const auto& [key, value] : tensors) check_name(self, "gradients", key, utf8(key));
  return flatten(self, "gradients", tensors, "");
}

void apply_gradients(Trainer& self, const py::object& object) {
  const auto flat = flat_gradients(self, object);
  const float* data = flat.data();
  const GilRelease release;
  self.apply_gradients(data);
}

/// Adds views of flat (P,) to the state under prefix + name.
void add_tensors(py::dict& state, const Trainer& self, const std::string& prefix, const py::array_t<float>& flat) {
  for (const Parameter& parameter : self.parameters()) {
    state[(prefix + parameter.name).c_str()] = view_of(flat, parameter);
  }
}

py::dict state_dict(Trainer& self) {
  const bool with_momentum = self.momentum() > 0;
  py::array_t<float> parameters(self.parameter_count());
  py::array_t<float> momentum(with_momentum ? self.parameter_count() : 0);
  float* parameters_data = parameters.mutable_data();
  float* momentum_data = with_momentum ? momentum.mutable_data() : nullptr;
  {
    const GilRelease release;
    self.read_state(parameters_data, momentum_data);
  }
  py::dict state;
  add_tensors(state, self, "", parameters);
  if (with_momentum) add_tensors(state, self, kMomentumPrefix, momentum);
  return state;
}

/// Whether the state has momentum buffers; throws for a name that is neither a parameter nor its momentum.
bool check_names(const Trainer& self, const py::dict& state) {
  bool momentum = false;
  for (const auto& [key, value] : state) {
    std::string name = utf8(key);
    if (name.starts_with(kMomentumPrefix)) {
      momentum = true;
      name.erase(0, std::string_view(kMomentumPrefix).size());
    }
    check_name(self, "state", key, name);
  }
  return momentum;
}

void load_state_dict(Trainer& self, const py::object& mapping) {
  if (!is_mapping(mapping)) {
    throw py::type_error("state: a " + type_name(mapping) + "; expected a mapping of names to arrays");
  }
  const py::dict state = copy_mapping(mapping);
  const bool with_momentum = check_names(self, state) && self.momentum() > 0;
  const auto parameters = flatten(self, "state", state, "");
  py::array_t<float> momentum;
  if (with_momentum) momentum = flatten(self, "state", state, kMomentumPrefix);
  const float* parameters_data = parameters.data();
  const float* momentum_data = with_momentum ? momentum.data() : nullptr;
  const GilRelease release;
  self.write_state(parameters_data, momentum_data);
}

py::array_t<std::uint8_t> augment_images(py::handle images, py::handle seed, py::handle first, py::handle rotation,
                                         py::handle shift, py::handle scale, py::handle shear, py::handle elastic,
                                         py::handle thickness, py::handle threads) {
  const auto x = borrow_byte_images(images);
  const Distortion strengths{.rotation = parse_number("rotation", rotation),
                             .shift = parse_number("shift", shift),
                             .scale = parse_number("scale", scale),
                             .shear = parse_number("shear", shear),
                             .elastic = parse_number("elastic", elastic),
                             .thickness = parse_number("thickness", thickness)};
  const std::uint64_t stream = parse_unsigned("seed", seed);
  const std::uint64_t position = parse_unsigned("first", first);
  const std::int64_t count = parse_threads(threads);
  py::array_t<std::uint8_t> distorted({x.view.count, std::int64_t{28}, std::int64_t{28}});
  std::uint8_t* data = distorted.mutable_data();
  const OnImages check = signal_check();
  {
    const GilRelease release;
    augment(std::get<const std::uint8_t*>(x.view.data), x.view.count, strengths, stream, position, data, count, check);
  }
  return distorted;
}

py::dict diagnostics(Trainer& self) {
  Diagnostics d;
  {
    const GilRelease release;
    d = self.diagnostics();
  }
  return py::dict("compilations"_a = d.compilations, "compile_seconds"_a = d.compile_seconds, "runs"_a = d.runs,
                  "failed_runs"_a = d.failed_runs, "command_buffers"_a = d.command_buffers,
                  "encode_seconds"_a = d.encode_seconds, "gpu_seconds"_a = d.gpu_seconds,
                  "allocated_bytes"_a = d.allocated_bytes);
}

py::dict describe_devices_by_name() {
  py::dict devices;
  for (const DeviceDescription& device : describe_devices()) {
    py::dict facts;
    for (const auto& [fact, value] : device.facts) facts[fact.c_str()] = value;
    devices[device.name.c_str()] = facts;
  }
  return devices;
}

py::dict parameter_shapes(py::handle num_classes) {
  py::dict shapes;
  for (const Parameter& parameter : model_parameters(parse_integer("num_classes", num_classes, kExpectedClasses))) {
    shapes[parameter.name.c_str()] = py::tuple(py::cast(parameter.shape));
  }
  return shapes;
}

py::object splitmix64_at(py::handle seed, py::handle positions) {
  const auto seeds = borrow_unsigned("seed", seed);
  const auto at = borrow_unsigned("positions", positions);
  call(get_attribute(import_module("numpy"), "broadcast"), seeds, at);  // raises ValueError if they do not
  return py::vectorize([](std::uint64_t s, std::uint64_t position) { return splitmix64(s, position); })(seeds, at);
}

/// Without what waits for a step or may fail: debuggers and loggers ask for it at any time.
std::string describe_trainer(const Trainer& self) {
  return "<Trainer on " + self.device() + ", " + std::to_string(self.threads()) +
         (self.threads() == 1 ? " thread, " : " threads, ") + std::to_string(self.num_classes()) +
         " classes, learning rate " + shown(self.learning_rate()) + ", momentum " + shown(self.momentum()) + ", seed " +
         std::to_string(self.seed()) + (self.standardized() ? ", standardized images>" : ">");
}

py::object make_evaluation_type() {
  py::object type = py::module_::import("collections")
                        .attr("namedtuple")("Evaluation", "loss accuracy correct total", "module"_a = "mpsmnist");
  type.attr("__doc__") =
      "Result of Trainer.evaluate: mean cross-entropy, share of correct answers, their count, number of images.";
  return type;
}

void bind_errors(py::module_& m) {
  // Python's classes mirror the core's; a caller's mistakes are ValueError, as std::invalid_argument already becomes.
  py::exception<Error> error(m, "Error");
  error.attr("__doc__") = "Base of every mpsmnist error that is not a caller's mistake.";
  error.attr("__module__") = "mpsmnist";
  auto& device_error = py::register_exception<DeviceError>(m, "DeviceError", error.ptr());
  device_error.attr("__doc__") = "A device is missing, or failed; the weights are those of the last completed step.";
  device_error.attr("__module__") = "mpsmnist";
  // By its own type, not as the std::invalid_argument that it is: where the core and the module each have a C++ library
  // linked statically, a standard type of the one is unknown to the other.
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const ArgumentError& argument_error) {
      py::set_error(PyExc_ValueError, argument_error.what());
    }
  });
  // After that translator, and so asked before it, which would take it too.
  auto& not_finite = py::register_exception<NotFiniteError>(m, "NotFiniteError", PyExc_ValueError);
  not_finite.attr("__doc__") =
      "Gradients or a state with a NaN or an infinity, most often because training has diverged.";
  not_finite.attr("__module__") = "mpsmnist";
}

void bind_pending_loss(py::module_& m) {
  Class<PendingLoss>(m, "PendingLoss", "The loss of a step under way (from Trainer.step_async).")
      .def("result", &PendingLoss::result, py::call_guard<GilRelease>(),
           "Wait for the step; its loss before the update. DeviceError if the step failed.")
      .def("done", &PendingLoss::done, "Whether result() would return at once.")
      .def("__repr__",
           [](const PendingLoss& self) { return self.done() ? "<PendingLoss, done>" : "<PendingLoss, in flight>"; })
      .def_uncopyable("keep its result()");
}

constexpr const char* kTrainerDoc = R"(Trains the MNIST convolutional network on one device.

Images are uint8 (0..255, scaled by 1/255) or float32 (0..1, taken as they are), of shape (n, 784), (n, 28, 28),
(n, 28, 28, 1) or (n, 1, 28, 28). Floats beyond 1 or -1, by more than 2**-7 (rounding, down to bfloat16's), are a
ValueError, because they train badly without a word when they are 0..255; so are images that are nearly black in every
pixel but not blank, bytes of 0 and 1 or floats of 0 to 1/255. Trainer(standardized=True) takes any finite floats
and any bytes.

Labels are integers (n,), or float probabilities (n, C) whose rows sum to 1. NumPy arrays, CPU objects with __dlpack__,
buffers and objects with __array__ are accepted. Any n >= 1, but on "mps" steps and gradients take at most 16,384. Any
thread may call; calls take turns, and run() lets others in between two steps.

Bad arguments raise ValueError or TypeError before anything changes. A step that fails on the device raises DeviceError
and leaves the weights of the last completed step; memory and threads that the system refuses are a DeviceError too. In a
forked child a Trainer that was in use at the fork raises DeviceError until load_state_dict() replaces its weights, and
device "mps" always does. Ctrl-C ends run() between two steps, and predict() and evaluate()
between some hundreds of images.)";

void bind_trainer(py::module_& m, const py::object& evaluation_type) {
  Class<Trainer, TrainerHolder>(m, "Trainer", kTrainerDoc,  //
                                &make_trainer, "device"_a = "auto", "learning_rate"_a = 0.01, "momentum"_a = 0.0,
                                "num_classes"_a = 10, "seed"_a = 0, "init"_a = "uniform", "threads"_a = py::none(),
                                py::kw_only(), "standardized"_a = false,
                                R"(Make a network with fresh weights.

device: "auto" (the Apple GPU where there is one, else the CPU), "mps" or "cpu". learning_rate: 0 or more. momentum: in
[0, 1); 0 is plain SGD. num_classes: 2 to 100,000, on "mps" to 32,766. init: "uniform" (weights in [-0.2, 0.2), biases
0.1) or "he" (weights in ±sqrt(6 / fan_in), biases 0); the same seed gives the same weights everywhere. threads: for the
CPU; None takes the cores that this process may use. standardized: float images are (x - mean) / deviation, so that
values above 1 are meant, or are otherwise not of 0 to 1 on purpose: they need only be finite. It belongs to the Trainer
because its predictions fit images of the scale that it was trained on. It changes no value. Bytes may all be nearly
black then.)")
      .def("step", &step, "images"_a, "labels"_a, py::kw_only(), "all_reduce"_a = py::none(),
           "all_gather"_a = py::none(), "global_batch_size"_a = py::none(),
           R"(One update with the batch of images and their labels; waits, and returns the mean loss before it.

all_reduce(part) makes this Trainer one of several processes, each with images of its own and the same weights: it adds
up the gradients, a float32 array (k,), over all of them, in place. It is called for one part after the other, each as
soon as it is ready, the same parts in the same order in every process with the same kind of device: on "cpu" the dense
layers' part, 98% of all, comes while the convolutions' is still computed. It may return at once, with an object whose
Wait() or wait() is called before the update. global_batch_size: the images of all processes together, by which the
gradients are divided, so that their sum is the gradient of the mean loss. None divides by the images here: all_reduce
then takes the average. The loss is that of the images here.

all_gather(rows) saves traffic with small batches: fc0.weight's gradient, 12.8 MB, is not given to all_reduce, but made
here from what is 16,640 bytes an image. rows are float32 (n, 4160), one for each image here: fc0's input (3136) and the
gradient of its output (1024), divided by global_batch_size. It returns the rows of all processes, floats
(global_batch_size, 4160), in the same order in each, or an object whose Wait() or wait() does. It is called before
all_reduce. Every process gives it or none. "mps" does not use it, and all_reduce gets everything there.

An exception in either function ends the call without an update, as gradients that are not finite do
(NotFiniteError). This Trainer cannot be called in them.)")
      .def("step_async", &step_async, "images"_a, "labels"_a,
           "Start one update with images and labels; a PendingLoss. Two may be in flight: a third call waits.")
      .def("run", &run, "images"_a, "labels"_a, "batches"_a, py::kw_only(), "learning_rates"_a = py::none(),
           "on_step"_a = py::none(),
           R"(One update per row of batches, in native code; their losses, float32 (k,).

batches: integers (k, n), rows of indices into images and labels. learning_rates: floats (k,), one per step, or None for
the Trainer's own. Everything selected is checked before the first step.

on_step(step, loss): called after each completed step, in order; step is Trainer.steps as of that step. It may use the
Trainer, though the next step may be under way: what reads the weights waits for it. An exception in it ends the run, as
Ctrl-C does, after the steps under way.)")
      .def("synchronize", &Trainer::synchronize, py::call_guard<GilRelease>(), "Wait for every step in flight.")
      .def("predict", &predict, "images"_a, "Softmax probabilities of the images, float32 (n, C).")
      .def(
          "evaluate",
          [evaluation_type](Trainer& self, py::handle images, py::handle labels) {
            const Evaluation result = evaluate(self, images, labels);
            const double accuracy = static_cast<double>(result.correct) / static_cast<double>(result.total);
            return evaluation_type(result.loss, accuracy, result.correct, result.total);
          },
          "images"_a, "labels"_a, "Mean loss and accuracy over the images and their labels, as an Evaluation.")
      .def("gradients", &gradients, "images"_a, "labels"_a,
           "Gradients of the mean loss of images and labels, without an update.")
      .def("apply_gradients", &apply_gradients, "gradients"_a,
           "One update with these gradients: a Gradients, a float (P,) array, or a mapping of all names to arrays. "
           "NotFiniteError, a ValueError, without an update unless all values are finite.")
      .def("state_dict", &state_dict,
           "A copy of the weights by name, and of the momentum buffers as \"momentum.NAME\" when momentum > 0.")
      .def(
          "load_state_dict", &load_state_dict, "state"_a,
          R"(Replace the weights by those of `state`, a mapping of names to arrays. Give all momentum buffers ("momentum.NAME") or
none: without them they become zero, and a Trainer without momentum ignores them. Values that are not finite are a
NotFiniteError.)")
      .def_property_readonly("device", &Trainer::device, "\"mps\" or \"cpu\".")
      .def_property_readonly("num_classes", &Trainer::num_classes, "C, the number of classes.")
      .def_property_readonly("steps", py::cpp_function(&Trainer::steps, py::call_guard<GilRelease>()),
                             "Updates completed; waits for those in flight.")
      .def_property_readonly("seed", &Trainer::seed, "The seed of the initial weights.")
      .def_property_readonly("momentum", &Trainer::momentum, "The momentum factor.")
      .def_property_readonly("standardized", &Trainer::standardized, "Whether images of any scale are taken.")
      .def_property_readonly("threads", &Trainer::threads, "CPU threads that compute.")
      .def_property(
          "learning_rate", &Trainer::learning_rate,
          [](Trainer& self, py::handle value) { self.set_learning_rate(parse_number("learning_rate", value)); },
          "The step size from the next step on; finite, 0 or more.")
      .def("diagnostics", &diagnostics,
           R"(What the device has done since the Trainer was made; waits for the steps in flight. Zeros on the CPU.

A dict: "compilations" of graphs and their "compile_seconds"; "runs" of compiled graphs that ended (a step, a chunk of
predictions, gradients), "failed_runs" among them, and their "command_buffers" (more than one for a run that MPSGraph
has split); "encode_seconds" of the host and "gpu_seconds" of the completed runs; "allocated_bytes", now allocated on
the device by this process.)")
      .def("__repr__", &describe_trainer)
      .def_uncopyable("take its state_dict(), and load_state_dict() it into another");
}

constexpr const char* kAugmentDoc =
    R"(Distort each of the images at random, as handwriting varies: a new uint8 array (n, 28, 28).

images: uint8, of the shapes that Trainer takes; they stay as they are. Every draw is uniform in plus or minus a
strength: rotation in degrees (0 to 180); shift along each axis in pixels (0 to 28); scale of each axis (0 to 0.9,
factors of 1 - scale to 1 + scale); shear (0 to 1); elastic, how many pixels each of 7 x 7 control points of a smooth
displacement moves along each axis (0 to 28). One bilinear resampling does all of this, with zeros outside of the image.
Then strokes get thicker or thinner: levels become clip((1 + thickness) * level - u, 0, 255), with u uniform in 0 to
255 * thickness (0 to 4). Strengths of 0 change nothing.

Image i is drawn from the stream of seed and first + i alone: the same bytes on every platform, for any number of threads
and for any split into calls, such as one a batch with first = step * batch size. threads: None takes the cores that this
process may use. Bad values raise ValueError or TypeError; Ctrl-C ends a long call.)";

void bind_augment(py::module_& m) {
  const Distortion defaults;
  define(m, "augment", &augment_images, "images"_a, py::kw_only(), "seed"_a, "first"_a = 0,
         "rotation"_a = defaults.rotation, "shift"_a = defaults.shift, "scale"_a = defaults.scale,
         "shear"_a = defaults.shear, "elastic"_a = defaults.elastic, "thickness"_a = defaults.thickness,
         "threads"_a = py::none(), kAugmentDoc);
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  py::options options;
  options.disable_function_signatures();  // signature.h writes them as CPython reads them
  m.doc() = "The native core of mpsmnist.";
  m.attr("__version__") = version();
  bind_errors(m);
  const py::object evaluation_type = make_evaluation_type();
  m.attr("Evaluation") = evaluation_type;
  bind_pending_loss(m);
  bind_gradients(m);
  bind_trainer(m, evaluation_type);
  bind_augment(m);
  m.attr("MOMENTUM_PREFIX") = kMomentumPrefix;
  m.attr("DEVICES") = py::tuple(py::cast(known_devices()));
  define(m, "parameter_shapes", &parameter_shapes, "num_classes"_a = 10,
         "The names and shapes of the parameters for `num_classes` classes, in their order, as a dict.");
  define(m, "splitmix64", &splitmix64_at, "seed"_a, "positions"_a,
         "The outputs at `positions` (from 0) of the SplitMix64 generator of `seed`; both uint64 and broadcast.");
  define(m, "handle_once", &handle_once, "number"_a,
         R"(Leave the next signal `number` to the handler that signal.signal() has set.

Whatever comes after it is the kernel's: it takes the default action of this and every other signal that was named here,
at once and even while a native call runs.)");
  define(m, "devices", &devices,
         "The devices that a Trainer can use here by name, best first; \"cpu\" always. \"auto\" takes the first.");
  define(m, "describe_devices", &describe_devices_by_name,
         R"(What is known of every known device here: name -> facts, all of them text.

"cpu": "instruction_set", "cores". "mps": "gpu" (its name), "families", "unified_memory" ("yes"), "working_set_bytes"
(what Metal recommends at most), "mpsgraph" (the framework's version), "passed_over" (why "auto" does not take it, where
it does not), "other_gpus" (why not those), or else "unavailable" alone (why, with every GPU refused). A fact that the
system does not tell is left out.)");
}

}  // namespace mpsmnist::bindings
