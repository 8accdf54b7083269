// Which instruction set's kernels to use.
#pragma once

#include "cpu/kernels.h"

namespace mpsmnist::cpu {

/// The best kernels that this build has and this processor can run, or those that MPSMNIST_ISA names.
/// Throws DeviceError if that name is unknown, not in this build, or more than the processor can do.
const Kernels& choose_kernels();

/// Every kernel table that can run here, best first; ends with null.
const Kernels* const* available_kernels();

}  // namespace mpsmnist::cpu
