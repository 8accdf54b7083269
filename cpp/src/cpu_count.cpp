#include "cpu_count.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace mpsmnist {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

#if defined(__linux__)

int affinity_cores() {
  // The kernel refuses masks smaller than its own: grow until it fits.
  for (std::size_t bits = 1024; bits <= (std::size_t{1} << 20); bits *= 2) {
    std::vector<unsigned long> mask(bits / (8 * sizeof(unsigned long)));
    auto* set = reinterpret_cast<cpu_set_t*>(mask.data());
    const std::size_t bytes = mask.size() * sizeof(unsigned long);
    if (sched_getaffinity(0, bytes, set) == 0) return CPU_COUNT_S(bytes, set);
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

#else

int affinity_cores() { return static_cast<int>(std::thread::hardware_concurrency()); }

#endif

// Cores that the quota in one cgroup folder grants.
double quota_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return kUnlimited;
  return std::strtod(quota.c_str(), nullptr) / period;
}

double quota_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) return kUnlimited;
  return quota / period;
}

// The least quota from the process's own cgroup up to the root; a limit higher up counts too.
template <typename Quota>
double least_quota(const std::string& root, std::string path, Quota quota) {
  double least = kUnlimited;
  while (true) {
    least = std::min(least, quota(root + path));
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

}  // namespace

double quota_cores(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  double least = kUnlimited;
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:path
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, least_quota(root + "/sys/fs/cgroup", path, quota_v2));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      least = std::min(least, least_quota(root + "/sys/fs/cgroup/cpu", path, quota_v1));
    }
  }
  return least;
}

int usable_cores() {
  const double quota = std::ceil(quota_cores(""));
  const int cores = std::max(1, affinity_cores());
  return quota < cores ? std::max(1, static_cast<int>(quota)) : cores;
}

}  // namespace mpsmnist
