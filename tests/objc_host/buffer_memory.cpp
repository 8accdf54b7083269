#include "buffer_memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>

#include "fatal.h"

namespace objc_host {
namespace {

std::mutex mutex;  // guards every buffer's counts, and this:
// Never destroyed: daemon threads make buffers until the process is gone.
std::set<const BufferMemory*>& buffers = *new std::set<const BufferMemory*>;
int next_number = 1;
struct sigaction previous_action;

void on_fault(int signal, siginfo_t* info, void* context) {
  const std::string message = BufferMemory::explain_fault(info->si_addr);
  if (!message.empty()) fail(message);
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) return previous_action.sa_sigaction(signal, info, context);
  sigaction(signal, &previous_action, nullptr);  // the access is repeated, and then handled as if we were not here
}

// Installed late and over whatever is there (sanitizers, faulthandler), which still gets all other faults.
void install_fault_handler() {
  struct sigaction current = {};
  sigaction(SIGSEGV, nullptr, &current);
  if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == on_fault) return;
  previous_action = current;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
}

void* map(int file, std::size_t size) {
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (address == MAP_FAILED) fail(std::string("mmap: ") + std::strerror(errno));
  return address;
}

constexpr int kNanByte = 0xFF;

}  // namespace

BufferMemory::BufferMemory(std::size_t length) : length_(length) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  mapped_ = (length + page - 1) / page * page;
  const int file = memfd_create("objc_host", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(mapped_)) != 0) {
    fail(std::string("memory for a buffer: ") + std::strerror(errno));
  }
  program_ = map(file, mapped_);
  device_ = map(file, mapped_);
  close(file);
  std::memset(device_, kNanByte, mapped_);
  count(OBJC_HOST_BUFFERS_ALLOCATED);
  count(OBJC_HOST_LIVE_BUFFERS);
  count(OBJC_HOST_LIVE_BYTES, static_cast<std::int64_t>(length_));
  std::lock_guard lock(mutex);
  install_fault_handler();
  number_ = next_number++;
  buffers.insert(this);
}

BufferMemory::~BufferMemory() {
  const auto* bytes = static_cast<const unsigned char*>(device_);
  if (std::any_of(bytes + length_, bytes + mapped_, [](unsigned char byte) { return byte != kNanByte; })) {
    fail(describe() + " was written past its end");
  }
  {
    std::lock_guard lock(mutex);
    buffers.erase(this);
  }
  munmap(program_, mapped_);
  munmap(device_, mapped_);
  count(OBJC_HOST_LIVE_BUFFERS, -1);
  count(OBJC_HOST_LIVE_BYTES, -static_cast<std::int64_t>(length_));
}

std::string BufferMemory::describe() const {
  return "buffer " + std::to_string(number_) + " of " + std::to_string(length_) + " bytes";
}

void* BufferMemory::contents() const {
  std::lock_guard lock(mutex);
  if (writers_ > 0) fail("read before completion: a command buffer in flight writes " + describe());
  return program_;
}

void BufferMemory::fill_with_nans() { std::memset(device_, kNanByte, length_); }

std::shared_ptr<BufferMemory> BufferMemory::copied_too_early() const {
  {
    std::lock_guard lock(mutex);
    if (writers_ == 0) return nullptr;
  }
  auto copy = std::make_shared<BufferMemory>(length_);
  std::memcpy(copy->device_, device_, length_);
  return copy;
}

void BufferMemory::protect() const {
  const int access = writers_ > 0 ? PROT_NONE : readers_ > 0 ? PROT_READ : PROT_READ | PROT_WRITE;
  if (mprotect(program_, mapped_, access) != 0) fail(std::string("mprotect: ") + std::strerror(errno));
}

void BufferMemory::check_queue(int queue, bool write) const {
  if (queue_ == queue || readers_ + writers_ == 0) return;
  if (write || writers_ > 0) fail(describe() + " is used by command buffers in flight of two queues");
}

void BufferMemory::begin_read(int queue) {
  std::lock_guard lock(mutex);
  check_queue(queue, false);
  queue_ = queue;
  ++readers_;
  protect();
}

void BufferMemory::begin_write(int queue) {
  std::lock_guard lock(mutex);
  check_queue(queue, true);
  if (writers_ > 0) fail("result " + describe() + " is already a result of a command buffer in flight");
  queue_ = queue;
  ++writers_;
  protect();
}

void BufferMemory::end_read() {
  std::lock_guard lock(mutex);
  --readers_;
  protect();
}

void BufferMemory::end_write() {
  std::lock_guard lock(mutex);
  --writers_;
  protect();
}

std::string BufferMemory::explain_fault(const void* address) {
  std::lock_guard lock(mutex);
  for (const BufferMemory* buffer : buffers) {
    const auto* begin = static_cast<const char*>(buffer->program_);
    if (address < begin || address >= begin + buffer->mapped_) continue;
    if (buffer->writers_ > 0) return "read before completion: a command buffer in flight writes " + buffer->describe();
    if (buffer->readers_ > 0)
      return "written before completion: a command buffer in flight reads " + buffer->describe();
  }
  return {};
}

}  // namespace objc_host
