// Trainer: checks arguments, keeps the ring of steps in flight, and asks the engine for the rest.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <mutex>
#include <utility>

#include "classify.h"
#include "device.h"
#include "inputs.h"
#include "model.h"
#include "reject.h"
#include "step_outcome.h"

namespace mpsmnist {

using detail::StepOutcome;

namespace {

/// Predictions are made in chunks, so that their buffers stay small and an engine compiles few sizes.
constexpr std::int64_t kPredictChunk = 256;

constexpr int kMaxClasses = 100'000;
constexpr int kMaxThreads = 1024;

void check_learning_rate(double value) {
  if (!std::isfinite(static_cast<float>(value)) || value < 0) {
    reject("learning_rate: ", value, "; expected 0 or more, and finite as a float32");
  }
}

const TrainerOptions& checked(const TrainerOptions& options) {
  check_learning_rate(options.learning_rate);
  if (!(options.momentum >= 0 && static_cast<float>(options.momentum) < 1)) {
    reject("momentum: ", options.momentum, "; expected at least 0 and less than 1");
  }
  if (options.num_classes < 2 || options.num_classes > kMaxClasses) {
    reject("num_classes: ", options.num_classes, "; expected 2 to ", kMaxClasses);
  }
  if (options.threads < 0 || options.threads > kMaxThreads) {
    reject("threads: ", options.threads, "; expected 1 to ", kMaxThreads,
           ", or 0 for the cores that this process may use");
  }
  return options;
}

}  // namespace

class Trainer::Impl {
 public:
  explicit Impl(const TrainerOptions& options)
      : device_(resolve_device(checked(options).device)),
        seed_(options.seed),
        num_classes_(static_cast<int>(options.num_classes)),
        momentum_(options.momentum),
        parameters_(model_parameters(num_classes_)),
        learning_rate_(options.learning_rate),
        engine_(make_engine(
            device_, {parameters_, num_classes_, static_cast<float>(momentum_), static_cast<int>(options.threads)})) {
    engine_->write_parameters(initial_parameters(parameters_, options.init, seed_).data());
  }

  ~Impl() { wait_for_all(); }

  float step(const Images& images, const Labels& labels) {
    check_examples(images, labels, num_classes_);
    const std::lock_guard lock(mutex_);
    drain();
    const int slot = stage(images, labels);
    try {
      const float loss = engine_->step(slot, float_rate());
      ++steps_;
      return loss;
    } catch (const DeviceError&) {
      engine_->recover();
      throw;
    }
  }

  std::shared_ptr<StepOutcome> step_async(const Images& images, const Labels& labels) {
    check_examples(images, labels, num_classes_);
    const std::lock_guard lock(mutex_);
    make_room();
    return begin(stage(images, labels), float_rate());
  }

  void run(const Images& images, const Labels& labels, const Batches& batches, const float* learning_rates,
           float* losses, const std::function<void()>& between_steps) {
    check_batches(images, labels, batches, num_classes_);
    if (learning_rates != nullptr) std::for_each_n(learning_rates, batches.steps, check_learning_rate);
    const std::lock_guard lock(mutex_);
    drain();
    try {
      std::deque<std::shared_ptr<StepOutcome>> waiting;
      for (std::int64_t i = 0; i < batches.steps; ++i) {
        if (waiting.size() == Engine::kSlots) *losses++ = take_loss(waiting);
        make_room();
        const int slot = stage(images, labels, batches.indices + i * batches.batch_size, batches.batch_size);
        waiting.push_back(begin(slot, learning_rates == nullptr ? float_rate() : learning_rates[i]));
        if (between_steps) between_steps();
      }
      while (!waiting.empty()) *losses++ = take_loss(waiting);
    } catch (...) {
      wait_for_all();
      throw;
    }
  }

  void predict(const Images& images, float* probabilities) {
    check_images(images);
    const std::lock_guard lock(mutex_);
    for_each_chunk(images, [&](std::int64_t first, std::int64_t count, const float* logits) {
      for (std::int64_t i = 0; i < count; ++i) {
        softmax(logits + i * num_classes_, num_classes_, probabilities + (first + i) * num_classes_);
      }
    });
  }

  Evaluation evaluate(const Images& images, const Labels& labels) {
    check_examples(images, labels, num_classes_);
    const std::lock_guard lock(mutex_);
    Evaluation evaluation{0, 0, images.count};
    std::vector<float> expected(static_cast<std::size_t>(num_classes_));
    for_each_chunk(images, [&](std::int64_t first, std::int64_t count, const float* logits) {
      for (std::int64_t i = 0; i < count; ++i) {
        const float* row = logits + i * num_classes_;
        stage_label(labels, first + i, num_classes_, expected.data());
        evaluation.loss += cross_entropy(row, expected.data(), num_classes_);
        evaluation.correct += argmax(row, num_classes_) == label_class(labels, first + i, num_classes_) ? 1 : 0;
      }
    });
    evaluation.loss /= static_cast<double>(evaluation.total);
    return evaluation;
  }

  Gradients gradients(const Images& images, const Labels& labels) {
    check_examples(images, labels, num_classes_);
    const std::lock_guard lock(mutex_);
    drain();
    return engine_->backpropagate(stage(images, labels), {});
  }

  void apply_gradients(const float* flat) {
    check_finite("gradients", parameters_, flat);
    const std::lock_guard lock(mutex_);
    drain();
    engine_->apply_gradients(flat, float_rate());
    ++steps_;
  }

  void read_parameters(float* flat) {
    const std::lock_guard lock(mutex_);
    drain();
    engine_->read_parameters(flat);
  }

  void read_momentum(float* flat) {
    const std::lock_guard lock(mutex_);
    drain();
    if (momentum_ > 0) {
      engine_->read_momentum(flat);
    } else {
      std::fill_n(flat, total_size(parameters_), 0.0F);
    }
  }

  void write_state(const float* parameters, const float* momentum) {
    const std::int64_t size = total_size(parameters_);
    check_finite("state", parameters_, parameters);
    if (momentum != nullptr) check_finite("state", parameters_, momentum, kMomentumPrefix);
    const std::vector<float> zeros(momentum == nullptr && momentum_ > 0 ? static_cast<std::size_t>(size) : 0);
    const std::lock_guard lock(mutex_);
    drain();
    engine_->write_parameters(parameters);
    if (momentum_ > 0) engine_->write_momentum(momentum == nullptr ? zeros.data() : momentum);
  }

  void synchronize() {
    const std::lock_guard lock(mutex_);
    drain();
  }

  std::int64_t steps() {
    const std::lock_guard lock(mutex_);
    drain();
    return steps_;
  }

  void set_learning_rate(double value) {
    check_learning_rate(value);
    learning_rate_ = value;
  }

  const std::string device_;
  const std::uint64_t seed_;
  const int num_classes_;
  const double momentum_;
  const std::vector<Parameter> parameters_;
  std::atomic<double> learning_rate_;
  const std::unique_ptr<Engine> engine_;

 private:
  float float_rate() const { return static_cast<float>(learning_rate_); }

  /// Copies a batch into the next slot, which make_room() or drain() has freed. `rows` null takes the images in order.
  int stage(const Images& images, const Labels& labels, const std::int64_t* rows = nullptr, std::int64_t n = 0) {
    if (rows == nullptr) n = images.count;
    const StagedBatch batch = engine_->stage(next_slot_, n);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t row = rows == nullptr ? i : rows[i];
      stage_image(images, row, batch.images + i * kImagePixels);
      stage_label(labels, row, num_classes_, batch.labels + i * num_classes_);
    }
    return next_slot_;
  }

  std::shared_ptr<StepOutcome> begin(int slot, float learning_rate) {
    auto outcome = std::make_shared<StepOutcome>();
    in_flight_.push_back(outcome);
    try {
      engine_->begin_step(slot, learning_rate, outcome);
    } catch (...) {
      in_flight_.pop_back();
      throw;
    }
    next_slot_ = (slot + 1) % Engine::kSlots;
    return outcome;
  }

  /// Waits until a slot is free. Throws what drain() throws.
  void make_room() {
    if (in_flight_.size() < Engine::kSlots) return;
    if (!in_flight_.front()->wait_succeeded()) return drain();
    in_flight_.pop_front();
    ++steps_;
  }

  /// Waits for every step in flight. After a failure the engine goes on from the weights of the last completed step,
  /// and a failure that nobody was told of is thrown here.
  void drain() {
    const auto unreported = wait_for_all();
    if (unreported != nullptr) unreported->wait();
  }

  /// The oldest failure that nobody was told of, or null.
  std::shared_ptr<StepOutcome> wait_for_all() noexcept {
    std::shared_ptr<StepOutcome> unreported;
    bool failed = false;
    for (const auto& outcome : in_flight_) {
      if (outcome->wait_succeeded()) {
        ++steps_;
        continue;
      }
      failed = true;
      if (unreported == nullptr && outcome->failed_unreported()) unreported = outcome;
    }
    in_flight_.clear();
    if (failed) engine_->recover();
    return unreported;
  }

  static float take_loss(std::deque<std::shared_ptr<StepOutcome>>& waiting) {
    const auto oldest = std::move(waiting.front());
    waiting.pop_front();
    return oldest->wait();
  }

  /// Calls use(first, count, logits (count, C)) for chunk after chunk of the images.
  template <typename Use>
  void for_each_chunk(const Images& images, const Use& use) {
    drain();
    std::vector<float> logits(static_cast<std::size_t>(std::min(images.count, kPredictChunk) * num_classes_));
    for (std::int64_t first = 0; first < images.count; first += kPredictChunk) {
      const std::int64_t count = std::min(kPredictChunk, images.count - first);
      const StagedBatch batch = engine_->stage(next_slot_, count);
      for (std::int64_t i = 0; i < count; ++i) stage_image(images, first + i, batch.images + i * kImagePixels);
      engine_->logits(next_slot_, logits.data());
      use(first, count, logits.data());
    }
  }

  // Recursive, because between_steps may run Python signal handlers, which may call this Trainer again.
  std::recursive_mutex mutex_;
  std::deque<std::shared_ptr<StepOutcome>> in_flight_;  // oldest first, at most Engine::kSlots
  int next_slot_ = 0;
  std::int64_t steps_ = 0;
};

Trainer::Trainer(const TrainerOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Trainer::~Trainer() = default;

float Trainer::step(const Images& images, const Labels& labels) { return impl_->step(images, labels); }
PendingLoss Trainer::step_async(const Images& images, const Labels& labels) {
  return PendingLoss(impl_->step_async(images, labels));
}
void Trainer::run(const Images& images, const Labels& labels, const Batches& batches, const float* learning_rates,
                  float* losses, const std::function<void()>& between_steps) {
  impl_->run(images, labels, batches, learning_rates, losses, between_steps);
}
void Trainer::synchronize() { impl_->synchronize(); }

void Trainer::predict(const Images& images, float* probabilities) { impl_->predict(images, probabilities); }
Evaluation Trainer::evaluate(const Images& images, const Labels& labels) { return impl_->evaluate(images, labels); }

Gradients Trainer::gradients(const Images& images, const Labels& labels) { return impl_->gradients(images, labels); }
void Trainer::apply_gradients(const float* flat) { impl_->apply_gradients(flat); }

void Trainer::read_parameters(float* flat) { impl_->read_parameters(flat); }
void Trainer::read_momentum(float* flat) { impl_->read_momentum(flat); }
void Trainer::write_state(const float* parameters, const float* momentum) { impl_->write_state(parameters, momentum); }

const std::vector<Parameter>& Trainer::parameters() const noexcept { return impl_->parameters_; }
std::int64_t Trainer::parameter_count() const noexcept { return total_size(impl_->parameters_); }
const std::string& Trainer::device() const noexcept { return impl_->device_; }
std::uint64_t Trainer::seed() const noexcept { return impl_->seed_; }
int Trainer::num_classes() const noexcept { return impl_->num_classes_; }
double Trainer::momentum() const noexcept { return impl_->momentum_; }
int Trainer::threads() const noexcept { return impl_->engine_->threads(); }
std::int64_t Trainer::steps() { return impl_->steps(); }
double Trainer::learning_rate() const noexcept { return impl_->learning_rate_; }
void Trainer::set_learning_rate(double value) { impl_->set_learning_rate(value); }

PendingLoss::PendingLoss(std::shared_ptr<StepOutcome> outcome) : outcome_(std::move(outcome)) {}
float PendingLoss::result() const { return outcome_->wait(); }
bool PendingLoss::done() const noexcept { return outcome_->done(); }

}  // namespace mpsmnist
