// Trainer: checks arguments, keeps track of the steps in flight, and leaves the rest to the engine.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <list>
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

constexpr int kMaxThreads = 1024;

bool is_learning_rate(double value) { return std::isfinite(static_cast<float>(value)) && value >= 0; }

constexpr char kExpectedRate[] = "; expected 0 or more, and finite as a float32";

void check_learning_rate(double value) {
  if (!is_learning_rate(value)) reject("learning_rate: ", value, kExpectedRate);
}

/// The rate of a step, read once. Throws ArgumentError if it is none.
float learning_rate_at(const float* rates, std::int64_t step) {
  const float value = read_once(rates + step);
  if (!is_learning_rate(value)) reject("learning_rates: ", value, " at index ", step, kExpectedRate);
  return value;
}

const TrainerOptions& checked(const TrainerOptions& options) {
  check_learning_rate(options.learning_rate);
  if (!(options.momentum >= 0 && static_cast<float>(options.momentum) < 1)) {
    reject("momentum: ", options.momentum, "; expected at least 0 and less than 1");
  }
  if (options.threads < 0 || options.threads > kMaxThreads) {
    reject("threads: ", options.threads, "; expected 1 to ", kMaxThreads,
           ", or 0 for the cores that this process may use");
  }
  return options;
}

/// Below the smallest normal float32 momentum is 0: with denormal numbers, whether there are momentum buffers would
/// depend on the thread's floating-point mode, and be decided differently from call to call.
double momentum_factor(double value) { return value < std::numeric_limits<float>::min() ? 0 : value; }

}  // namespace

class Trainer::Impl {
 public:
  explicit Impl(const TrainerOptions& options)
      : device_(resolve_device(checked(options).device)),
        seed_(options.seed),
        parameters_(model_parameters(options.num_classes)),
        num_classes_(static_cast<int>(options.num_classes)),
        momentum_(momentum_factor(options.momentum)),
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
    } catch (...) {
      engine_->recover();
      throw;
    }
  }

  std::shared_ptr<StepOutcome> step_async(const Images& images, const Labels& labels) {
    check_examples(images, labels, num_classes_);
    const std::lock_guard lock(mutex_);
    while (!has_room()) finish_oldest();
    return begin(stage(images, labels), float_rate());
  }

  void run(const Images& images, const Labels& labels, const Batches& batches, const float* learning_rates,
           float* losses, const OnStep& on_step) {
    check_batches(images, labels, batches, num_classes_);
    if (learning_rates != nullptr) {
      for (std::int64_t i = 0; i < batches.steps; ++i) learning_rate_at(learning_rates, i);
    }
    const std::lock_guard lock(mutex_);
    drain();
    Steps ended;  // one at a time, unless on_step calls the Trainer, which waits for the others in flight
    const auto finish_oldest_and_report = [&] {
      finish_oldest();
      while (!ended.empty()) {
        const Step step = std::move(ended.front());
        ended.pop_front();
        const float loss = *losses++ = step.outcome->wait();
        if (on_step) on_step(step.number, loss);
      }
    };
    try {
      for (std::int64_t i = 0; i < batches.steps; ++i) {
        while (!has_room()) finish_oldest_and_report();
        const int slot = stage(images, labels, &batches, i);
        begin(slot, learning_rates == nullptr ? float_rate() : learning_rate_at(learning_rates, i), &ended);
      }
      while (!in_flight_.empty()) finish_oldest_and_report();
    } catch (...) {
      wait_for_all();
      throw;
    }
  }

  void predict(const Images& images, float* probabilities, const OnImages& on_images) {
    check_not_empty(images);
    const std::lock_guard lock(mutex_);
    for_each_chunk(images, on_images, [&](std::int64_t first, std::int64_t count, const float* logits) {
      for (std::int64_t i = 0; i < count; ++i) {
        softmax(logits + i * num_classes_, num_classes_, probabilities + (first + i) * num_classes_);
      }
    });
  }

  Evaluation evaluate(const Images& images, const Labels& labels, const OnImages& on_images) {
    check_labels(images, labels, num_classes_);
    const std::lock_guard lock(mutex_);
    Evaluation evaluation{0, 0, images.count};
    std::vector<float> expected(static_cast<std::size_t>(num_classes_));
    for_each_chunk(images, on_images, [&](std::int64_t first, std::int64_t count, const float* logits) {
      for (std::int64_t i = 0; i < count; ++i) {
        const float* row = logits + i * num_classes_;
        stage_label(labels, first + i, num_classes_, expected.data());
        evaluation.loss += cross_entropy(row, expected.data(), num_classes_);
        evaluation.correct += argmax(row, num_classes_) == argmax(expected.data(), num_classes_) ? 1 : 0;
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
    const std::lock_guard lock(mutex_);
    drain();
    if (!engine_->apply_gradients(flat, float_rate())) {
      check_finite("gradients", parameters_, flat);
      reject("gradients: they were not all finite, and changed during the call");
    }
    ++steps_;
  }

  void read_state(float* parameters, float* momentum) {
    const std::lock_guard lock(mutex_);
    drain();
    engine_->read_parameters(parameters);
    if (momentum == nullptr) return;
    if (momentum_ > 0) {
      engine_->read_momentum(momentum);
    } else {
      std::fill_n(momentum, total_size(parameters_), 0.0F);
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
  const std::vector<Parameter> parameters_;
  const int num_classes_;
  const double momentum_;
  std::atomic<double> learning_rate_;
  const std::unique_ptr<Engine> engine_;

 private:
  /// A step that was begun. When it has ended it moves on to the list of its run, if it is part of one.
  struct Step {
    std::shared_ptr<StepOutcome> outcome;
    std::list<Step>* ended = nullptr;
    std::int64_t number = 0;  // steps_ with it, once it has completed
  };
  using Steps = std::list<Step>;  // the oldest first

  float float_rate() const { return static_cast<float>(learning_rate_); }

  /// Copies a batch into the next slot, which must be free: that of `step`, or without `batches` all images in order.
  int stage(const Images& images, const Labels& labels, const Batches* batches = nullptr, std::int64_t step = 0) {
    const std::int64_t n = batches == nullptr ? images.count : batches->batch_size;
    const StagedBatch batch = engine_->stage(next_slot_, n);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t row = batches == nullptr ? i : batch_row(images, *batches, step, i);
      stage_image(images, row, batch.images + i * kImagePixels);
      stage_label(labels, row, num_classes_, batch.labels + i * num_classes_);
    }
    return next_slot_;
  }

  std::shared_ptr<StepOutcome> begin(int slot, float learning_rate, Steps* ended = nullptr) {
    auto outcome = std::make_shared<StepOutcome>();
    in_flight_.push_back({outcome, ended});
    try {
      engine_->begin_step(slot, learning_rate, outcome);
    } catch (...) {
      in_flight_.pop_back();
      throw;
    }
    next_slot_ = (slot + 1) % Engine::kSlots;
    return outcome;
  }

  /// Whether a slot is free.
  bool has_room() const { return in_flight_.size() < Engine::kSlots; }

  /// Waits for the oldest step in flight. If it failed, drains, and throws what drain() throws.
  void finish_oldest() {
    if (!in_flight_.front().outcome->wait_succeeded()) return drain();
    retire_oldest();
  }

  /// Waits for the oldest step in flight and takes it out; returns whether it completed.
  bool retire_oldest() noexcept {
    Step& step = in_flight_.front();
    const bool completed = step.outcome->wait_succeeded();
    if (completed) step.number = ++steps_;
    if (step.ended != nullptr) {
      step.ended->splice(step.ended->end(), in_flight_, in_flight_.begin());
    } else {
      in_flight_.pop_front();
    }
    return completed;
  }

  /// Waits for every step in flight. After a failure the engine continues from the weights of the last completed step,
  /// and a failure that nobody was told of is thrown here.
  void drain() {
    const auto unreported = wait_for_all();
    if (unreported != nullptr) unreported->wait();
  }

  /// The oldest failure that nobody was told of, or null.
  std::shared_ptr<StepOutcome> wait_for_all() noexcept {
    std::shared_ptr<StepOutcome> unreported;
    bool failed = false;
    while (!in_flight_.empty()) {
      const auto outcome = in_flight_.front().outcome;
      if (retire_oldest()) continue;
      failed = true;
      if (unreported == nullptr && outcome->failed_unreported()) unreported = outcome;
    }
    if (failed) engine_->recover();
    return unreported;
  }

  /// Checks the pixels of chunk after chunk of the images, and calls use(first, count, logits (count, C)) for it.
  template <typename Use>
  void for_each_chunk(const Images& images, const OnImages& on_images, const Use& use) {
    std::vector<float> logits(static_cast<std::size_t>(std::min(images.count, kPredictChunk) * num_classes_));
    for (std::int64_t first = 0; first < images.count; first += kPredictChunk) {
      const std::int64_t count = std::min(kPredictChunk, images.count - first);
      drain();  // here, because on_images may begin a step
      const StagedBatch batch = engine_->stage(next_slot_, count);
      for (std::int64_t i = 0; i < count; ++i) {
        check_image(images, first + i);
        stage_image(images, first + i, batch.images + i * kImagePixels);
      }
      engine_->logits(next_slot_, logits.data());
      use(first, count, logits.data());
      if (on_images) on_images(first + count);
    }
  }

  std::recursive_mutex mutex_;  // recursive, because callbacks may call the Trainer
  Steps in_flight_;             // at most Engine::kSlots
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
                  float* losses, const OnStep& on_step) {
  impl_->run(images, labels, batches, learning_rates, losses, on_step);
}
void Trainer::synchronize() { impl_->synchronize(); }

void Trainer::predict(const Images& images, float* probabilities, const OnImages& on_images) {
  impl_->predict(images, probabilities, on_images);
}
Evaluation Trainer::evaluate(const Images& images, const Labels& labels, const OnImages& on_images) {
  return impl_->evaluate(images, labels, on_images);
}

Gradients Trainer::gradients(const Images& images, const Labels& labels) { return impl_->gradients(images, labels); }
void Trainer::apply_gradients(const float* flat) { impl_->apply_gradients(flat); }

void Trainer::read_state(float* parameters, float* momentum) { impl_->read_state(parameters, momentum); }
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
