// The memory of an MTLBuffer, mapped twice: once for the device's thread, once for the program, where the pages are
// closed while a command buffer in flight writes them and read-only while one reads them. Touching them then aborts.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "control.h"

namespace objc_host {

class BufferMemory {
 public:
  /// Filled with NaNs: Apple promises no zeros.
  explicit BufferMemory(std::size_t length);
  ~BufferMemory();
  BufferMemory(const BufferMemory&) = delete;
  BufferMemory& operator=(const BufferMemory&) = delete;

  std::size_t length() const { return length_; }
  /// The program's view. Fails if a command buffer in flight writes the buffer.
  void* contents() const;
  /// The device's view.
  float* device() const { return static_cast<float*>(device_); }
  void fill_with_nans();
  /// What it holds now, in other memory, if a command buffer in flight writes it; else null.
  std::shared_ptr<BufferMemory> copied_too_early() const;

  /// From encoding to completion the device owns the buffer. `queue` is the command queue's number.
  void begin_read(int queue);
  void begin_write(int queue);
  void end_read();
  void end_write();

  /// The message for an access to an address that lies in a buffer's closed pages; empty if none does.
  static std::string explain_fault(const void* address);

 private:
  void protect() const;
  void check_queue(int queue, bool write) const;
  std::string describe() const;

  std::size_t length_;
  std::size_t mapped_;
  void* program_;
  void* device_;
  int number_;
  int queue_ = 0;  // the one whose command buffers in flight use it
  int readers_ = 0;
  int writers_ = 0;
  Counted counted_;
};

}  // namespace objc_host
