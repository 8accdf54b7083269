// The memory of an engine's gradients: lent to whoever asks for them, and used again when nobody holds it any more.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>

#include "buffer.h"
#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

/// Lends buffers of `size` floats. One thread lends at a time; what is lent may be released from any thread, and may
/// outlive this object.
class GradientMemory {
 public:
  explicit GradientMemory(std::size_t size) : size_(size) {}

  std::size_t size() const noexcept { return size_; }

  /// A buffer that nobody else holds, with whatever values its last use left. Throws DeviceError.
  std::shared_ptr<float[]> lend() try {
    const auto is_free = [](const auto& buffer) { return buffer.use_count() == 1; };
    auto next = std::find_if(buffers_.begin(), buffers_.end(), is_free);
    if (next == buffers_.end()) {
      next = buffers_.begin();  // empty, or in use and lent longest ago: it is not kept any longer
      *next = std::make_shared<Buffer<float>>(size_);
    }
    // use_count() orders nothing by itself: the last holder's accesses come before ours.
    std::atomic_thread_fence(std::memory_order_acquire);
    std::rotate(next, next + 1, buffers_.end());
    return {buffers_.back(), buffers_.back()->data()};
  } catch (const std::bad_alloc&) {
    throw DeviceError("out of memory for the gradients");
  }

 private:
  std::size_t size_;
  // Two, for loops that hold the last gradients while they ask for the next. The one lent last comes last.
  std::array<std::shared_ptr<Buffer<float>>, 2> buffers_;
};

}  // namespace mpsmnist
