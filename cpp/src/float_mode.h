// The floating-point mode of all arithmetic here: numbers too small to be normal are zeros.
#pragma once

#include <cstdint>

namespace mpsmnist {

/// Sets this thread's mode, and restores the caller's at its end: round to nearest, trap nothing, and take numbers
/// below 2^-126 as zeros, read and written alike.
///
/// Momentum behind inputs that stay blank decays to such numbers in a thousand steps, and Intel computes them in
/// microcode: a step then takes three times as long. And as the mode is always the same one, results do not depend on
/// what the host program has set (torch.set_flush_denormal, say).
///
/// It is for calls of functions elsewhere: compilers may move a scope's own arithmetic past its ends.
class FloatMode {
 public:
  FloatMode() : before_(read()) { write(kOurs); }
  ~FloatMode() { write(before_); }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__x86_64__)
  // MXCSR: flush to zero (bit 15), exceptions masked (7 to 12), denormals are zeros (6).
  using Register = std::uint32_t;
  static constexpr Register kOurs = 0x8000 | 0x1F80 | 0x0040;
  static Register read() {
    Register value;
    asm volatile("stmxcsr %0" : "=m"(value)::"memory");
    return value;
  }
  static void write(Register value) { asm volatile("ldmxcsr %0" ::"m"(value) : "memory"); }
#elif defined(__aarch64__)
  // FPCR: flush inputs and results to zero (bit 24); nothing traps and zero bits round to nearest.
  using Register = std::uint64_t;
  static constexpr Register kOurs = Register{1} << 24;
  static Register read() {
    Register value;
    asm volatile("mrs %0, fpcr" : "=r"(value)::"memory");
    return value;
  }
  static void write(Register value) { asm volatile("msr fpcr, %0" ::"r"(value) : "memory"); }
#else
#error "no floating-point mode for this processor"
#endif

  const Register before_;
};

/// The float nearest to `value`, in FloatMode.
inline float nearest_float(double value) {
  const FloatMode mode;
  volatile double from = value;  // volatile, so that the conversion stays in here
  volatile float to = static_cast<float>(from);
  return to;
}

}  // namespace mpsmnist
