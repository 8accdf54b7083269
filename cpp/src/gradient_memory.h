// The memory of an engine's gradients: lent to whoever asked for them, and used again when the last holder lets go.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "buffer.h"
#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

/// Lends buffers of `size` floats. What is lent may outlive this object, and be let go of from any thread.
class GradientMemory {
 public:
  explicit GradientMemory(std::size_t size) : size_(size) {}

  std::size_t size() const noexcept { return size_; }

  /// A buffer that nobody else holds, with whatever values its last use left. Throws DeviceError.
  std::shared_ptr<float[]> lend() try {
    Buffer<float> buffer = returned_->take();
    if (buffer.size() == 0) buffer = Buffer<float>(size_);
    float* values = buffer.data();
    auto give_back = [buffer = std::make_shared<Buffer<float>>(std::move(buffer)),
                      returned = std::weak_ptr<Returned>(returned_)](float*) {
      if (const auto list = returned.lock()) list->put(std::move(*buffer));
    };
    return {values, std::move(give_back)};
  } catch (const std::bad_alloc&) {
    throw DeviceError("out of memory for the gradients");
  }

 private:
  class Returned {
   public:
    Returned() { buffers_.reserve(kKept); }

    Buffer<float> take() {
      const std::lock_guard lock(mutex_);
      if (buffers_.empty()) return {};
      Buffer<float> buffer = std::move(buffers_.back());
      buffers_.pop_back();
      return buffer;
    }

    void put(Buffer<float> buffer) {
      const std::lock_guard lock(mutex_);
      if (buffers_.size() < kKept) buffers_.push_back(std::move(buffer));
    }

   private:
    // Two, for loops that hold the last gradients while they ask for the next.
    static constexpr std::size_t kKept = 2;
    std::mutex mutex_;
    std::vector<Buffer<float>> buffers_;
  };

  std::size_t size_;
  std::shared_ptr<Returned> returned_ = std::make_shared<Returned>();
};

}  // namespace mpsmnist
