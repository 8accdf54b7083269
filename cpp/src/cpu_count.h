// How many cores this process may use.
#pragma once

#include <string>

namespace mpsmnist {

/// The cores of the affinity mask, or fewer if a container's CPU quota (cgroup v1 or v2, rounded up) allows less.
int usable_cores();

/// That quota, infinity where there is none, from the proc and sys below the folder `root` ("": the system's own).
double quota_cores(const std::string& root);

}  // namespace mpsmnist
