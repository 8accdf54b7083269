// How many cores this process may use.
#pragma once

namespace mpsmnist::cpu {

/// The cores of the affinity mask, or fewer if a container's CPU quota (cgroup v1 or v2, rounded up) allows less.
int usable_cores();

}  // namespace mpsmnist::cpu
