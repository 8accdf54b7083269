// Tests that run once for each instruction set.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>

#include "cpu/isa.h"
#include "cpu/kernels.h"

namespace mpsmnist::test {

using cpu::Kernels;

/// Calls test(kernels) for each instruction set of this machine, in a subcase of its name: -sc=avx2 runs it alone.
template <typename Test>
void for_each_instruction_set(Test test) {
  for (const Kernels* const* kernels = cpu::available_kernels(); *kernels != nullptr; ++kernels) {
    SUBCASE((*kernels)->isa) { test(**kernels); }
  }
}

/// What MPSMNIST_ISA says while this lives.
class ForcedInstructionSet {
 public:
  explicit ForcedInstructionSet(const char* name) { setenv("MPSMNIST_ISA", name, 1); }
  ~ForcedInstructionSet() { unsetenv("MPSMNIST_ISA"); }
  ForcedInstructionSet(const ForcedInstructionSet&) = delete;
  ForcedInstructionSet& operator=(const ForcedInstructionSet&) = delete;
};

}  // namespace mpsmnist::test
