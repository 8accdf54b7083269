#include "cpu/isa.h"

#include <cstdlib>
#include <string>

namespace mpsmnist::cpu {

#if defined(__x86_64__)
namespace baseline {
extern const Kernels kKernels;
}
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
#elif defined(__aarch64__)
namespace neon {
extern const Kernels kKernels;
}
#else
#error "The CPU engine has kernels for x86-64 and arm64 only."
#endif

namespace {

struct Available {
  const Kernels* tables[4] = {};

  Available() {
    int count = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (has_avx512) tables[count++] = &avx512::kKernels;
    if (has_avx2) tables[count++] = &avx2::kKernels;
    tables[count++] = &baseline::kKernels;
#else
    tables[count++] = &neon::kKernels;
#endif
  }
};

}  // namespace

const Kernels* const* available_kernels() {
  static const Available available;
  return available.tables;
}

const Kernels& choose_kernels() {
  const Kernels* const* tables = available_kernels();
  const char* forced = std::getenv("MPSMNIST_ISA");
  if (forced == nullptr || *forced == '\0') return *tables[0];
  std::string names;
  for (; *tables != nullptr; ++tables) {
    if (std::string((*tables)->isa) == forced) return **tables;
    names += (names.empty() ? "" : ", ") + std::string((*tables)->isa);
  }
  throw DeviceError("[cpu] MPSMNIST_ISA is \"" + std::string(forced) +
                    "\", but this build on this processor has: " + names);
}

}  // namespace mpsmnist::cpu
