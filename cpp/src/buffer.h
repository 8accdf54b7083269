// Zeroed, aligned memory for floats or bytes, on 2 MB pages where the system offers them.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace mpsmnist {

/// Owns `size` elements of T, all zero bits at first. Aligned to a cache line, or to a huge page if at least that
/// large.
template <typename T>
class Buffer {
 public:
  Buffer() = default;

  /// Throws std::bad_alloc.
  explicit Buffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    const std::size_t bytes = size * sizeof(T);
    const bool large = bytes >= kHugePage;
    void* memory = nullptr;
    if (bytes / sizeof(T) != size || posix_memalign(&memory, large ? kHugePage : kCacheLine, bytes) != 0) {
      throw std::bad_alloc();
    }
#if defined(__linux__)
    // Fewer page-table walks; a refusal costs speed only. Whole pages, so that the memory's neighbours are left alone.
    if (large) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    std::memset(memory, 0, bytes);
    data_.reset(static_cast<T*>(memory));
  }

  T* data() noexcept { return data_.get(); }
  const T* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t kCacheLine = 64;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  struct Free {
    void operator()(T* memory) const noexcept { std::free(memory); }
  };
  std::size_t size_ = 0;
  std::unique_ptr<T, Free> data_;
};

}  // namespace mpsmnist
