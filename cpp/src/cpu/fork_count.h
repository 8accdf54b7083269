// Notices that this process is the child of a fork: none of the parent's threads exist in it.
#pragma once

#include <cstdint>

namespace mpsmnist::cpu {

/// How many forks lie between this process and the one that first called this.
std::uint64_t fork_count();

}  // namespace mpsmnist::cpu
