// The public C++ API of mpsmnist: one class that trains the classic MNIST convolutional network.
//
// Standard library types only: no Objective-C and no Python. Shapes are row-major; n is the batch size,
// C the number of classes, P the number of parameters (3,274,634 for C = 10).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#if defined(__GNUC__)
#define MPSMNIST_EXPORT __attribute__((visibility("default")))
#else
#define MPSMNIST_EXPORT
#endif

namespace mpsmnist {

/// Base of every error that is not a caller's mistake.
class MPSMNIST_EXPORT Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~Error() override;
};

/// A device is missing, or failed while it worked. The weights are those of the last completed step.
class MPSMNIST_EXPORT DeviceError : public Error {
 public:
  using Error::Error;
  ~DeviceError() override;
};

/// A caller's mistake, found before anything changed. The text names the argument, its value and what was expected.
class MPSMNIST_EXPORT ArgumentError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
  ~ArgumentError() override;
};

/// Images whose scale is not the one that their type stands for. Another type, or another factor, mends it.
class MPSMNIST_EXPORT ScaleError : public ArgumentError {
 public:
  using ArgumentError::ArgumentError;
  ~ScaleError() override;
};

/// Gradients or a state with a NaN or an infinity, most often because training has diverged.
class MPSMNIST_EXPORT NotFiniteError : public ArgumentError {
 public:
  using ArgumentError::ArgumentError;
  ~NotFiniteError() override;
};

/// The package's version, such as "0.1.0".
MPSMNIST_EXPORT const char* version() noexcept;

/// Every device that this package knows, best first, whether or not it is available here.
MPSMNIST_EXPORT std::vector<std::string> known_devices();

/// The devices that a Trainer can use here by name, best first; "cpu" always. The first is what "auto" takes.
MPSMNIST_EXPORT std::vector<std::string> devices();

/// What is known of a device here: facts by name, in an order that does not change.
///
/// "cpu": "instruction_set", "cores". "mps": "gpu" (its name), "families", "unified_memory" ("yes"),
/// "working_set_bytes" (what Metal recommends at most), "mpsgraph" (the framework's version), "passed_over" (why "auto"
/// does not take it, where it does not), "other_gpus" (why not those), or else "unavailable" alone (why, with every
/// GPU refused). A fact that the system does not tell is left out.
struct DeviceDescription {
  std::string name;
  std::vector<std::pair<std::string, std::string>> facts;
};

/// Every known device.
MPSMNIST_EXPORT std::vector<DeviceDescription> describe_devices();

/// Images (count, 28, 28), contiguous: bytes 0..255 (scaled by 1/255) or floats of 0..1, taken as they are. ScaleError
/// for floats beyond 1 or -1, by more than the 2^-7 that bfloat16 may round; and for images that no pixel lifts above
/// 1/255, though not all are 0. See TrainerOptions::standardized.
struct Images {
  std::variant<const std::uint8_t*, const float*> data;
  std::int64_t count = 0;
};

/// Labels, contiguous: class numbers (count,), or probabilities (count, C) whose rows sum to 1.
struct Labels {
  std::variant<const std::uint8_t*, const std::int32_t*, const std::int64_t*, const std::uint64_t*, const float*> data;
  std::int64_t count = 0;
};

/// Rows of indices (steps, batch_size) into images and labels: one batch per row.
struct Batches {
  const std::int64_t* indices = nullptr;
  std::int64_t steps = 0;
  std::int64_t batch_size = 0;
};

struct Evaluation {
  double loss = 0;  ///< mean cross-entropy
  std::int64_t correct = 0;
  std::int64_t total = 0;
};

/// One named tensor within the flat order of parameters.
struct Parameter {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;  ///< first element in the flat (P,) vector
  std::int64_t size = 0;
};

/// The eight parameters of the network in their order, which is the same everywhere. Throws ArgumentError unless
/// num_classes is 2 to 100,000.
MPSMNIST_EXPORT std::vector<Parameter> model_parameters(std::int64_t num_classes);

/// In state dicts and checkpoints, this before a parameter's name is the name of its momentum buffer.
inline constexpr char kMomentumPrefix[] = "momentum.";

/// Gradients of the mean loss over a batch.
struct Gradients {
  float loss = 0;
  std::shared_ptr<float[]> flat;  ///< (P,). They may be written to, and may outlive the Trainer.
};

/// A part of the gradients, contiguous in their flat order, with a share in their memory: it may outlive the call.
struct GradientPart {
  std::shared_ptr<float[]> values;  ///< (size,)
  std::int64_t offset = 0;          ///< of the first one in the flat (P,) vector
  std::int64_t size = 0;
};

/// Told of a part of the gradients as soon as it is final: it may be changed in place, by other threads too, and after
/// the call. Parts come each once, together cover (P,), and are the same in the same order in every call on a device.
using OnGradientPart = std::function<void(const GradientPart& part)>;

/// How the gradients of several processes, each with images of its own, become those of all their images.
struct AllReduce {
  OnGradientPart begin;          ///< begins to add up the part over the processes, while the others are computed
  std::function<void()> finish;  ///< called when all have begun: returns once all are added up
  /// The images of all processes. Each one's gradients come divided by it, so that their sum is that of the mean loss.
  std::int64_t global_batch_size = 0;
};

/// The factors of the gradient of fc0.weight (3136,1024): it is the sum over the rows of (first 3136)^T (last 1024).
struct Factors {
  static constexpr std::int64_t kInputs = 3136;
  static constexpr std::int64_t kOutputs = 1024;
  static constexpr std::int64_t kColumns = kInputs + kOutputs;

  /// (count, kColumns), a row an image: fc0's input, then the gradient of its output before the ReLU, divided by
  /// AllReduce::global_batch_size. They may outlive the call.
  std::shared_ptr<float[]> rows;
  std::int64_t count = 0;
};

/// How the factors of several processes become those of all their images, on devices that offer them: there
/// AllReduce is not told of fc0.weight. That is 16,640 bytes an image instead of 12.8 MB.
struct AllGather {
  /// Begins to collect the rows; called before AllReduce::begin.
  std::function<void(const Factors& factors)> begin;
  /// Called after AllReduce::finish: returns the rows of all processes, (global_batch_size, kColumns), in the same
  /// order everywhere. They must stay until the step returns.
  std::function<const float*()> finish;
};

enum class Init { kUniform, kHe };

struct TrainerOptions {
  std::string device = "auto";  ///< "auto" (the best one available) or one of known_devices()
  double learning_rate = 0.01;
  double momentum = 0;            ///< in [0, 1); less than the smallest normal float32 is 0
  std::int64_t num_classes = 10;  ///< device "mps" takes at most 32,766
  std::uint64_t seed = 0;
  Init init = Init::kUniform;
  std::int64_t threads = 0;  ///< CPU threads; 0 takes the cores that this process may use
  /// Images are (x - mean) / deviation, or otherwise of another scale on purpose: floats need only be finite, and bytes
  /// may all be nearly black.
  bool standardized = false;
};

/// What a Trainer's device has done since the Trainer was made. Zeros on the CPU, which compiles and queues nothing.
struct Diagnostics {
  std::int64_t compilations = 0;     ///< graphs compiled, one for each purpose and batch size
  double compile_seconds = 0;        ///< building and compiling them
  std::int64_t runs = 0;             ///< runs of compiled graphs that ended: a step, a chunk of predictions, gradients
  std::int64_t failed_runs = 0;      ///< those of them that failed
  std::int64_t command_buffers = 0;  ///< of all runs: more than one for a run that MPSGraph has split
  double encode_seconds = 0;         ///< the host's time for encoding the runs
  double gpu_seconds = 0;            ///< the completed runs, each from the GPU's start to its end
  std::int64_t allocated_bytes = 0;  ///< now allocated on the device by this process
};

namespace detail {
class StepOutcome;
}

/// The loss of a step under way. Copies share it; it may outlive the Trainer.
class MPSMNIST_EXPORT PendingLoss {
 public:
  explicit PendingLoss(std::shared_ptr<detail::StepOutcome> outcome);
  /// Waits, then returns the loss before the step's update. Throws DeviceError if the step failed.
  float result() const;
  bool done() const noexcept;

 private:
  std::shared_ptr<detail::StepOutcome> outcome_;
};

/// Told of each completed step of Trainer::run(), in order: Trainer::steps() as of that step, and the loss before its
/// update. The next step may be under way already: what reads the weights waits for it.
using OnStep = std::function<void(std::int64_t step, float loss)>;

/// Told, while Trainer::predict() or evaluate() goes through its images, how many are done.
using OnImages = std::function<void(std::int64_t done)>;

/// Trains one network on one device.
///
/// Any thread may call any member; calls take turns in the order in which they came, and run() lets others in between
/// two steps. At most two steps are in flight: a third waits. Whatever reads
/// or replaces the weights first waits for the steps in flight. Inputs may be reused as soon as a call returns.
/// Arguments are checked before anything changes (ArgumentError); among them the size of a batch, which on device "mps"
/// is at most 16,384 for steps and gradients. A step that fails on the device throws DeviceError from the call that
/// waits for it, or, when nobody asks for its result, from the next call on the Trainer. What changes in the arrays
/// during a call is used as it is when the call comes to it; labels and indices that are out of range by then are an
/// ArgumentError, after the steps before it.
///
/// Memory and threads that the system refuses are a DeviceError too.
///
/// Callbacks run on the calling thread and may call the Trainer. What they throw ends the call.
///
/// A forked child may use a CPU Trainer that was idle at the fork. If a step was in flight, or another thread was in a
/// call, the child's weights may be half updated: everything but write_state() throws DeviceError there until that has
/// replaced them.
class MPSMNIST_EXPORT Trainer {
 public:
  explicit Trainer(const TrainerOptions& options);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// One update; returns the batch's mean loss before it.
  float step(const Images& images, const Labels& labels);
  /// The same with the gradients that all_reduce leaves; the loss is that of these images alone. What all_reduce throws
  /// ends the call without an update, and so do gradients that are not all finite (NotFiniteError). It runs on the
  /// calling thread, in the middle of a step: there this Trainer cannot be called (ArgumentError). The same holds for
  /// all_gather, whose functions are both given or both empty, and which device "mps" never calls.
  float step(const Images& images, const Labels& labels, const AllReduce& all_reduce, const AllGather& all_gather = {});
  /// Returns once the step is on its way.
  PendingLoss step_async(const Images& images, const Labels& labels);
  /// Runs batches.steps steps; losses (steps,) receives theirs. learning_rates (steps,) or null for the Trainer's own.
  /// When the device or on_step throws, the steps under way are still completed, but on_step is not told of them.
  void run(const Images& images, const Labels& labels, const Batches& batches, const float* learning_rates,
           float* losses, const OnStep& on_step = {});
  /// Waits for every step in flight.
  void synchronize();

  /// Softmax probabilities (n, C). Pixels are checked as the images are reached, here and in evaluate().
  void predict(const Images& images, float* probabilities, const OnImages& on_images = {});
  Evaluation evaluate(const Images& images, const Labels& labels, const OnImages& on_images = {});

  /// Nothing is updated.
  Gradients gradients(const Images& images, const Labels& labels);
  /// v <- momentum*v + g; w <- w - learning_rate*v, for g = flat (P,). Values must be finite (NotFiniteError).
  void apply_gradients(const float* flat);

  /// Copies the weights (P,), and the momentum buffers (P,) of the same moment unless that is null: zeros when momentum
  /// is 0.
  void read_state(float* parameters, float* momentum);
  /// Replaces the weights and the momentum buffers, which a null momentum sets to zero. Values must be finite
  /// (NotFiniteError).
  void write_state(const float* parameters, const float* momentum);

  const std::vector<Parameter>& parameters() const noexcept;
  std::int64_t parameter_count() const noexcept;

  const std::string& device() const noexcept;
  std::uint64_t seed() const noexcept;
  int num_classes() const noexcept;
  double momentum() const noexcept;
  bool standardized() const noexcept;
  int threads() const noexcept;
  std::int64_t steps();       ///< completed updates; waits for those in flight
  Diagnostics diagnostics();  ///< waits for the steps in flight
  double learning_rate() const noexcept;
  void set_learning_rate(double value);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// How strongly augment() distorts. Each draw is uniform in plus or minus its strength, but for that of thickness.
///
/// With pixel (r, c) at v = r - 13.5, u = c - 13.5, an image shows at (u, v) what its source has at
/// rotation * [[1, shear], [0, 1]] * diag(scale, scale) * (u, v) + shift + elastic(u, v), where the two scales are
/// drawn each on its own, and each component of elastic is a uniform cubic B-spline surface over 7 x 7 control points,
/// 7 pixels apart. Between pixels the source is bilinear, and outside of the image it is 0. Its levels then become
/// clip((1 + thickness) * level - u, 0, 255) with u uniform in 0 to 255 * thickness.
///
/// The defaults are those of `--preset accurate`, chosen on training images of MNIST that were held out.
struct Distortion {
  double rotation = 12;  ///< degrees, 0 to 180
  double shift = 1.5;    ///< pixels along each axis, 0 to 28
  double scale = 0.12;   ///< of the factors about 1, 0 to 0.9
  double shear = 0.15;   ///< 0 to 1
  double elastic = 2.5;  ///< pixels that each control point moves along each axis, 0 to 28
  double thickness = 1;  ///< of strokes, whose edges are slopes: 0 to 4
};

/// Writes images (count, 28, 28), distorted at random, to out (count, 28, 28). What image i becomes depends on nothing
/// but its pixels, the strengths, `seed` and first + i: the bytes are the same on every platform, for any number of
/// threads, and for parts of the images in calls of their own. The images may change meanwhile; `out` is another array.
///
/// Throws ArgumentError before anything is written, and DeviceError if the system refuses the threads; 0 stands for the
/// cores that this process may use. on_images runs on the calling thread, and what it throws ends the call.
MPSMNIST_EXPORT void augment(const std::uint8_t* images, std::int64_t count, const Distortion& strengths,
                             std::uint64_t seed, std::uint64_t first, std::uint8_t* out, std::int64_t threads = 0,
                             const OnImages& on_images = {});

}  // namespace mpsmnist
