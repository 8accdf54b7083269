// How many cores this process may use.
#include "cpu_count.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace mpsmnist::test {
namespace {

// A root folder with the files that a container's quota is read from.
class Root {
 public:
  Root() : folder_(std::filesystem::temp_directory_path() / ("mpsmnist-cgroups-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Root() { std::filesystem::remove_all(folder_); }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  void write(const std::string& path, const std::string& text) const {
    const auto file = folder_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  double quota() const { return quota_cores(folder_.string()); }

 private:
  std::filesystem::path folder_;
};

TEST_CASE("cpu count: at least one core, and no more than there are") {
  CHECK(usable_cores() >= 1);
  CHECK(usable_cores() <= static_cast<int>(std::thread::hardware_concurrency()));
}

TEST_CASE("cpu count: cgroup v2, quota and period") {
  const Root root;
  root.write("proc/self/cgroup", "0::/job\n");
  root.write("sys/fs/cgroup/job/cpu.max", "250000 100000\n");
  CHECK(root.quota() == 2.5);
}

TEST_CASE("cpu count: cgroup v2, the least quota from the process's own group up to the root counts") {
  const Root root;
  root.write("proc/self/cgroup", "0::/pod/job\n");
  root.write("sys/fs/cgroup/pod/job/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
  root.write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  CHECK(root.quota() == 0.5);
}

TEST_CASE("cpu count: cgroup v1, quota and period in files of their own") {
  const Root root;
  root.write("proc/self/cgroup", "5:cpuset:/other\n4:cpu,cpuacct:/job\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "300000\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  CHECK(root.quota() == 3);
}

TEST_CASE("cpu count: no quota") {
  const Root root;
  CHECK_MESSAGE(std::isinf(root.quota()), "no cgroups at all");
  root.write("proc/self/cgroup", "4:cpu:/job\n0::/job\n");
  root.write("sys/fs/cgroup/job/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  CHECK(std::isinf(root.quota()));
}

}  // namespace
}  // namespace mpsmnist::test
