// Trainer: checks arguments, gives callers their turns, and leaves the rest to the session with the engine.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

#include "classify.h"
#include "device.h"
#include "float_mode.h"
#include "fork.h"
#include "inputs.h"
#include "model.h"
#include "reject.h"
#include "session.h"
#include "system_limits.h"
#include "turn_lock.h"

namespace mpsmnist {

using detail::StepOutcome;

namespace {

/// Predictions are made in chunks, so that their buffers stay small and an engine compiles few sizes.
constexpr std::int64_t kPredictChunk = 256;

bool is_learning_rate(double value) { return std::isfinite(nearest_float(value)) && value >= 0; }

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
  if (!(options.momentum >= 0 && nearest_float(options.momentum) < 1)) {
    reject("momentum: ", options.momentum, "; expected at least 0 and less than 1");
  }
  check_threads(options.threads);
  return options;
}

/// What a callback threw, on its way past the translation of what the system refuses the library.
struct CallbackFailure {
  std::exception_ptr exception;
};

template <typename Result, typename... Arguments>
Result call_back(const std::function<Result(Arguments...)>& callback, std::type_identity_t<Arguments>... arguments) {
  if (!callback) return Result();
  try {
    return callback(arguments...);
  } catch (const std::bad_alloc&) {
    throw CallbackFailure{std::current_exception()};
  } catch (const std::system_error&) {
    throw CallbackFailure{std::current_exception()};
  }
}

/// Lets other threads have their turn while it lives.
class Pause {
 public:
  explicit Pause(TurnLock& lock) : lock_(lock) { lock_.unlock(); }
  ~Pause() { lock_.lock(); }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  TurnLock& lock_;
};

/// Says which function is being called while it lives.
class Inside {
 public:
  Inside(const char*& place, const char* name) : place_(place) { place_ = name; }
  ~Inside() { place_ = nullptr; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  const char*& place_;
};

/// Below the smallest normal float32 momentum is 0: with denormal numbers, whether there are momentum buffers would
/// depend on the thread's floating-point mode, and be decided differently from call to call.
double momentum_factor(double value) { return value < std::numeric_limits<float>::min() ? 0 : value; }

}  // namespace

class Trainer::Impl {
 public:
  explicit Impl(const TrainerOptions& options)
      : device_(resolve_device(checked(options).device)),
        limits_(device_limits(device_)),
        seed_(options.seed),
        parameters_(model_parameters(options.num_classes)),
        num_classes_(checked_classes(options.num_classes)),
        momentum_(momentum_factor(options.momentum)),
        standardized_(options.standardized),
        learning_rate_(options.learning_rate),
        threads_option_(static_cast<int>(options.threads)),
        session_(make_session(0)),
        threads_(session_->engine().threads()) {
    in_turn([&] {
      const FloatMode mode;
      session().engine().write_parameters(initial_parameters(parameters_, options.init, seed_).data());
    });
  }

  float step(const Images& images, const Labels& labels) {
    check_batch_size("images", images.count);
    check_examples(images, labels, num_classes_, standardized_);
    return in_turn([&] {
      session().drain();
      return session().step(stage(images, labels), float_rate());
    });
  }

  float step(const Images& images, const Labels& labels, const AllReduce& all_reduce, const AllGather& all_gather) {
    check_batch_size("images", images.count);
    check_examples(images, labels, num_classes_, standardized_);
    if (all_reduce.global_batch_size < images.count) {
      reject("global_batch_size: ", all_reduce.global_batch_size, "; expected at least the ", images.count,
             " images of this process");
    }
    return in_turn([&] {
      session().drain();
      const int slot = stage(images, labels);
      FactoredGradients* const factored = all_gather.begin ? session().engine().factored_gradients() : nullptr;
      if (factored != nullptr) return step_with_factors(*factored, slot, all_reduce, all_gather);
      const auto begin = [&](const GradientPart& part) { call_inside("all_reduce", all_reduce.begin, part); };
      const Gradients gradients = session_->engine().backpropagate(slot, all_reduce.global_batch_size, begin);
      call_inside("all_reduce", all_reduce.finish);
      apply(gradients.flat.get());
      return gradients.loss;
    });
  }

  std::shared_ptr<StepOutcome> step_async(const Images& images, const Labels& labels) {
    check_batch_size("images", images.count);
    check_examples(images, labels, num_classes_, standardized_);
    return in_turn([&] {
      while (!session().has_room()) session().finish_oldest();
      return session().begin(stage(images, labels), float_rate());
    });
  }

  void run(const Images& images, const Labels& labels, const Batches& batches, const float* learning_rates,
           float* losses, const OnStep& on_step) {
    check_batch_size("batches", batches.batch_size);
    check_batches(images, labels, batches, num_classes_, standardized_);
    if (learning_rates != nullptr) {
      for (std::int64_t i = 0; i < batches.steps; ++i) learning_rate_at(learning_rates, i);
    }
    in_turn([&] {
      session().drain();
      const Session* const begun_in = session_.get();
      Session::Steps ended;  // one at a time, unless another call waits for those in flight
      std::int64_t begun = 0;
      const auto begin = [&] {
        const int slot = stage(images, labels, &batches, begun);
        session().begin(slot, learning_rates == nullptr ? float_rate() : learning_rate_at(learning_rates, begun),
                        &ended);
        ++begun;
      };
      const auto report = [&] {
        const Session::Step step = std::move(ended.front());
        ended.pop_front();
        const float loss = *losses++ = step.outcome->wait();
        {
          const Pause pause(turns_);
          call_back(on_step, step.number, loss);
        }
        if (session_.get() != begun_in) throw DeviceError(lost_because_);  // on_step forked, and this is the child
      };
      try {
        for (std::int64_t reported = 0; reported < batches.steps;) {
          if (!ended.empty()) {
            report();
            ++reported;
          } else if (begun < batches.steps && session().has_room()) {
            begin();
          } else {
            session().finish_oldest();
          }
        }
      } catch (...) {
        if (session_.get() == begun_in) session_->wait_for_all();
        throw;
      }
    });
  }

  void predict(const Images& images, float* probabilities, const OnImages& on_images) {
    check_not_dark(images, standardized_);
    in_turn([&] {
      for_each_chunk(images, on_images, [&](std::int64_t first, std::int64_t count, const float* logits) {
        for (std::int64_t i = 0; i < count; ++i) {
          softmax(logits + i * num_classes_, num_classes_, probabilities + (first + i) * num_classes_);
        }
      });
    });
  }

  Evaluation evaluate(const Images& images, const Labels& labels, const OnImages& on_images) {
    check_labels(images, labels, num_classes_, standardized_);
    Evaluation evaluation{0, 0, images.count};
    in_turn([&] {
      std::vector<float> expected(static_cast<std::size_t>(num_classes_));
      for_each_chunk(images, on_images, [&](std::int64_t first, std::int64_t count, const float* logits) {
        for (std::int64_t i = 0; i < count; ++i) {
          const float* row = logits + i * num_classes_;
          stage_label(labels, first + i, num_classes_, expected.data());
          evaluation.loss += cross_entropy(row, expected.data(), num_classes_);
          evaluation.correct += argmax(row, num_classes_) == argmax(expected.data(), num_classes_) ? 1 : 0;
        }
      });
    });
    evaluation.loss /= static_cast<double>(evaluation.total);
    return evaluation;
  }

  Gradients gradients(const Images& images, const Labels& labels) {
    check_batch_size("images", images.count);
    check_examples(images, labels, num_classes_, standardized_);
    return in_turn([&] {
      session().drain();
      return session().engine().backpropagate(stage(images, labels), images.count, {});
    });
  }

  void apply_gradients(const float* flat) {
    in_turn([&] {
      session().drain();
      apply(flat);
    });
  }

  void read_state(float* parameters, float* momentum) {
    in_turn([&] {
      session().drain();
      session().engine().read_parameters(parameters);
      if (momentum == nullptr) return;
      if (momentum_ > 0) {
        session().engine().read_momentum(momentum);
      } else {
        std::fill_n(momentum, total_size(parameters_), 0.0F);
      }
    });
  }

  void write_state(const float* parameters, const float* momentum) {
    check_finite("state", parameters_, parameters);
    if (momentum != nullptr) check_finite("state", parameters_, momentum, kMomentumPrefix);
    in_turn([&] {
      const bool zero_momentum = momentum == nullptr && momentum_ > 0;
      const std::vector<float> zeros(zero_momentum ? static_cast<std::size_t>(total_size(parameters_)) : 0);
      std::unique_ptr<Session> fresh;
      if (session_ == nullptr) fresh = make_session(abandoned_->steps());
      Session& session = fresh == nullptr ? *session_ : *fresh;
      session.drain();
      session.engine().write_parameters(parameters);
      if (momentum_ > 0) session.engine().write_momentum(zero_momentum ? zeros.data() : momentum);
      if (fresh != nullptr) session_ = std::move(fresh);
    });
  }

  void synchronize() {
    in_turn([&] { session().drain(); });
  }

  std::int64_t steps() {
    return in_turn([&] {
      session().drain();
      return session().steps();
    });
  }

  Diagnostics diagnostics() {
    return in_turn([&] {
      session().drain();
      return session().engine().diagnostics();
    });
  }

  void set_learning_rate(double value) {
    check_learning_rate(value);
    learning_rate_ = value;
  }

  int threads() const noexcept { return threads_; }

  const std::string device_;
  const DeviceLimits limits_;
  const std::uint64_t seed_;
  const std::vector<Parameter> parameters_;
  const int num_classes_;
  const double momentum_;
  const bool standardized_;
  std::atomic<double> learning_rate_;

 private:
  int checked_classes(std::int64_t num_classes) const {
    if (num_classes > limits_.max_classes) {
      reject("num_classes: ", num_classes, "; device \"", device_, "\" takes at most ", limits_.max_classes);
    }
    return static_cast<int>(num_classes);
  }

  void check_batch_size(const char* argument, std::int64_t n) const {
    const std::int64_t most = limits_.largest_batch(num_classes_);
    if (n <= most) return;
    const std::string why = most == limits_.max_batch_size ? "" : " with " + std::to_string(num_classes_) + " classes";
    reject(argument, ": a batch of ", n, " images; device \"", device_, "\" takes at most ", most, why);
  }

  float step_with_factors(FactoredGradients& engine, int slot, const AllReduce& all_reduce,
                          const AllGather& all_gather) {
    const std::int64_t n = all_reduce.global_batch_size;
    const auto gather = [&](const Factors& factors) { call_inside("all_gather", all_gather.begin, factors); };
    const auto begin = [&](const GradientPart& part) { call_inside("all_reduce", all_reduce.begin, part); };
    const Gradients gradients = engine.backpropagate(slot, n, gather, begin);
    call_inside("all_reduce", all_reduce.finish);
    const float* factors = call_inside("all_gather", all_gather.finish);
    float* flat = gradients.flat.get();
    if (!session().update([&] { return engine.apply_gradients(flat, factors, n, float_rate()); })) {
      check_factors_finite(factors, n);
      refuse_gradients(flat);
    }
    return gradients.loss;
  }

  /// Calls a function of `name`, all_reduce or all_gather, in the middle of a step.
  template <typename Result, typename... Arguments>
  Result call_inside(const char* name, const std::function<Result(Arguments...)>& callback,
                     std::type_identity_t<Arguments>... arguments) {
    const Inside inside(inside_, name);
    return call_back(callback, arguments...);
  }

  /// Updates with the gradients (P,), with nothing in flight. NotFiniteError unless all are finite.
  void apply(const float* flat) {
    if (!session().update([&] { return session_->engine().apply_gradients(flat, float_rate()); })) {
      refuse_gradients(flat);
    }
  }

  /// Throws NotFiniteError, for gradients (P,) that an engine found not to be all finite.
  [[noreturn]] void refuse_gradients(const float* flat) const {
    check_finite("gradients", parameters_, flat);
    reject<NotFiniteError>("gradients: they were not all finite, and changed during the call");
  }

  float float_rate() const { return nearest_float(learning_rate_); }

  std::unique_ptr<Session> make_session(std::int64_t steps) const {
    const EngineOptions options{parameters_, num_classes_, nearest_float(momentum_), threads_option_};
    return with_device_errors(device_, [&] { return std::make_unique<Session>(make_engine(device_, options), steps); });
  }

  /// Calls call() when it is this thread's turn.
  template <typename Call>
  std::invoke_result_t<Call> in_turn(const Call& call) try {
    return with_device_errors(device_, [&] {
      const std::lock_guard lock(turns_);
      if (inside_ != nullptr) reject(inside_, ": it called the Trainer whose step it is part of");
      return call();
    });
  } catch (const CallbackFailure& failure) {
    std::rethrow_exception(failure.exception);
  }

  /// To be asked for again after a callback, which may fork. DeviceError if it was lost in a fork.
  Session& session() {
    if (session_ == nullptr) throw DeviceError(lost_because_);
    return *session_;
  }

  /// In a forked child. The session goes on where nobody was at work on it; otherwise it cannot even be destroyed.
  void after_fork() {
    const bool was_in_use = turns_.after_fork();
    if (session_ == nullptr) return;
    if (!session_->engine().survives_fork()) {
      lost_because_ = "device \"" + device_ + "\" cannot be used in a forked child: start processes by spawning them";
    } else if (was_in_use || session_->lost_steps()) {
      lost_because_ =
          "the process was forked while a step was in flight or another thread was using this Trainer, so in this "
          "child its weights may be half updated: replace them with load_state_dict()";
    } else {
      return;
    }
    abandoned_ = session_.release();
  }

  /// Copies a batch into the session's next slot: that of `step`, or without `batches` all images in order.
  int stage(const Images& images, const Labels& labels, const Batches* batches = nullptr, std::int64_t step = 0) {
    const std::int64_t n = batches == nullptr ? images.count : batches->batch_size;
    const StagedBatch batch = session().stage(n);
    const FloatMode mode;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t row = batches == nullptr ? i : batch_row(images, *batches, step, i);
      stage_image(images, row, batch.images + i * kImagePixels);
      stage_label(labels, row, num_classes_, batch.labels + i * num_classes_);
    }
    return session().next_slot();
  }

  /// Checks the pixels of chunk after chunk of the images, and calls use(first, count, logits (count, C)) for it.
  template <typename Use>
  void for_each_chunk(const Images& images, const OnImages& on_images, const Use& use) {
    std::vector<float> logits(static_cast<std::size_t>(std::min(images.count, kPredictChunk) * num_classes_));
    for (std::int64_t first = 0; first < images.count; first += kPredictChunk) {
      const std::int64_t count = std::min(kPredictChunk, images.count - first);
      session().drain();  // here, because on_images may begin a step
      {
        const FloatMode mode;
        const StagedBatch batch = session().stage(count);
        for (std::int64_t i = 0; i < count; ++i) {
          check_image(images, first + i, standardized_);
          stage_image(images, first + i, batch.images + i * kImagePixels);
        }
        session().engine().logits(session().next_slot(), logits.data());
        use(first, count, logits.data());
      }
      call_back(on_images, first + count);
    }
  }

  const int threads_option_;
  TurnLock turns_;                // recursive, because callbacks may call the Trainer
  const char* inside_ = nullptr;  // but not those of this name: a step is half done
  std::unique_ptr<Session> session_;
  Session* abandoned_ = nullptr;  // in a forked child that lost it: never touched again, but for its count of steps
  std::string lost_because_;
  const int threads_;
  const ForkObserver fork_observer_{[this] { after_fork(); }};  // last: the rest is there while it is
};

Trainer::Trainer(const TrainerOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Trainer::~Trainer() = default;

float Trainer::step(const Images& images, const Labels& labels) { return impl_->step(images, labels); }
float Trainer::step(const Images& images, const Labels& labels, const AllReduce& all_reduce,
                    const AllGather& all_gather) {
  return impl_->step(images, labels, all_reduce, all_gather);
}
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
bool Trainer::standardized() const noexcept { return impl_->standardized_; }
int Trainer::threads() const noexcept { return impl_->threads(); }
std::int64_t Trainer::steps() { return impl_->steps(); }
Diagnostics Trainer::diagnostics() { return impl_->diagnostics(); }
double Trainer::learning_rate() const noexcept { return impl_->learning_rate_; }
void Trainer::set_learning_rate(double value) { impl_->set_learning_rate(value); }

PendingLoss::PendingLoss(std::shared_ptr<StepOutcome> outcome) : outcome_(std::move(outcome)) {}
float PendingLoss::result() const { return outcome_->wait(); }
bool PendingLoss::done() const noexcept { return outcome_->done(); }

}  // namespace mpsmnist
