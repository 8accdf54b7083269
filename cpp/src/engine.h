// What Trainer asks of a device. Each device implements it in a folder of its own (cpu/, mps/) and has a line in the
// table of device.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mpsmnist/mpsmnist.h"
#include "step_outcome.h"

namespace mpsmnist {

/// Whether a device can be used here. Reasons are sentences.
struct Availability {
  std::string unavailable;  ///< why it cannot be used at all; empty if it can
  std::string passed_over;  ///< why it is used only by name, not for "auto"; empty otherwise
};

/// A fact of DeviceDescription.
using Fact = std::pair<std::string, std::string>;

/// A slot's input buffers, written by the host before the work that reads them begins.
struct StagedBatch {
  float* images = nullptr;  ///< (n, 28, 28, 1)
  float* labels = nullptr;  ///< (n, C), rows of probabilities
};

struct EngineOptions {
  std::vector<Parameter> parameters;
  int num_classes = 10;
  float momentum = 0;  ///< 0: plain SGD, and no momentum buffers are kept
  int threads = 0;     ///< CPU threads; 0: the cores that this process may use
};

using OnFactors = std::function<void(const Factors& factors)>;

/// What an engine offers beside Engine if it can leave the gradient of fc0.weight as its factors.
class FactoredGradients {
 public:
  virtual ~FactoredGradients() = default;

  /// Engine::backpropagate(), but tells on_factors the factors, and on_part of everything but fc0.weight, whose part of
  /// the gradients is left as it was.
  virtual Gradients backpropagate(int slot, std::int64_t divisor, const OnFactors& on_factors,
                                  const OnGradientPart& on_part) = 0;

  /// Engine::apply_gradients(), with the gradient of fc0.weight from factors (count, Factors::kColumns), which it may
  /// write to its part of `flat`. False, and no weight has changed, unless factors and gradients are finite. What the
  /// factors become during the call does no harm.
  [[nodiscard]] virtual bool apply_gradients(float* flat, const float* factors, std::int64_t count,
                                             float learning_rate) = 0;
};

/// One device with the weights of one network on it. Trainer serialises the calls, stages only into a slot that has
/// nothing in flight, and calls everything but stage() and begin_step() with nothing in flight at all.
/// A call that throws leaves the weights as they were.
class Engine {
 public:
  /// Steps that may be in flight at once: one computes while the host fills the other.
  static constexpr int kSlots = 2;

  virtual ~Engine() = default;

  /// The buffers of `slot`, at least n examples long. They stay valid until the slot is staged again.
  virtual StagedBatch stage(int slot, std::int64_t n) = 0;

  /// Starts one update with the batch staged in `slot` and returns; `outcome` is completed from any thread, in order of
  /// begin_step. Throws DeviceError (and leaves `outcome` alone) if the step cannot even begin. When a step fails,
  /// so does any step begun after it and before recover().
  virtual void begin_step(int slot, float learning_rate, std::shared_ptr<detail::StepOutcome> outcome) = 0;

  /// begin_step() and the wait in one. An engine that can save a thread switch overrides it.
  virtual float step(int slot, float learning_rate) {
    auto outcome = std::make_shared<detail::StepOutcome>();
    begin_step(slot, learning_rate, outcome);
    return outcome->wait();
  }

  /// After a failed step, with nothing in flight: continue from the weights of the last completed step.
  virtual void recover() noexcept = 0;

  /// Logits (n, C) of the images staged in `slot`.
  virtual void logits(int slot, float* out) = 0;

  /// Gradients of the summed loss of the batch staged in `slot`, divided by `divisor`; and the mean loss. Their memory
  /// is lent by the engine, which uses it again when nobody holds it any more. Nothing is updated.
  ///
  /// on_part may be empty. It is called on this thread; what it throws ends the call, and the engine remains usable.
  virtual Gradients backpropagate(int slot, std::int64_t divisor, const OnGradientPart& on_part) = 0;

  /// v <- momentum*v + g; w <- w - learning_rate*v, for g = flat (P,). False, and nothing has changed, unless all of g
  /// is finite. The engine checks that itself, as it can use all its threads: the check is a pass over memory too.
  [[nodiscard]] virtual bool apply_gradients(const float* flat, float learning_rate) = 0;

  /// Null if it cannot.
  virtual FactoredGradients* factored_gradients() noexcept { return nullptr; }

  virtual void read_parameters(float* flat) = 0;         ///< (P,)
  virtual void write_parameters(const float* flat) = 0;  ///< (P,)
  virtual void read_momentum(float* flat) = 0;           ///< (P,); only when momentum > 0
  virtual void write_momentum(const float* flat) = 0;    ///< (P,); only when momentum > 0

  virtual Diagnostics diagnostics() const { return {}; }

  /// Whether a forked child may go on using it, if nothing was in flight.
  virtual bool survives_fork() const noexcept = 0;

  /// CPU threads that the engine computes with.
  virtual int threads() const noexcept = 0;
};

}  // namespace mpsmnist
