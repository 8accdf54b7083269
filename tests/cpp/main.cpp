// Runs everything, for every instruction set of this machine, and prints how accurate the kernels are.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "check.h"
#include "cpu/isa.h"

namespace mpsmnist::test {
namespace {

struct Errors {
  double kernel = 0;
  double scalar = 0;
  double limit = 0;
};

std::map<std::pair<std::string, std::string>, Errors> table;

}  // namespace

void check_accuracy(const std::string& isa, const std::string& kernel, double error, double scalar_error,
                    double limit) {
  CHECK(error <= limit, isa + " " + kernel + ": relative error " + std::to_string(error * 1e6) + "e-6, at most " +
                            std::to_string(limit * 1e6) + "e-6 expected");
  Errors& worst = table[{kernel, isa}];
  worst.kernel = std::max(worst.kernel, error);
  worst.scalar = std::max(worst.scalar, scalar_error);
  worst.limit = limit;
}

void print_accuracy_table() {
  std::printf("%-24s %-9s %12s %12s %12s\n", "relative error of", "isa", "kernel", "scalar", "limit");
  for (const auto& [key, errors] : table) {
    std::printf("%-24s %-9s %12.1e %12.1e %12.1e\n", key.first.c_str(), key.second.c_str(), errors.kernel,
                errors.scalar, errors.limit);
  }
}

}  // namespace mpsmnist::test

// --no-fork: for emulators that cannot start threads in a forked child (qemu-user).
int main(int argc, char** argv) {
  const bool with_fork = argc < 2 || std::string(argv[1]) != "--no-fork";
  using namespace mpsmnist;
  for (const cpu::Kernels* const* kernels = cpu::available_kernels(); *kernels != nullptr; ++kernels) {
    test::test_conv0(**kernels);
    test::test_conv1(**kernels);
    test::test_fc0(**kernels);
    test::test_fc1(**kernels);
    test::test_update(**kernels);
    setenv("MPSMNIST_ISA", (*kernels)->isa, 1);
    test::test_engine((*kernels)->isa, with_fork);
  }
  test::test_softmax();
  test::test_instruction_set_choice();
  test::test_thread_pool();
  test::test_executor();
  test::test_step_queue();
  test::print_accuracy_table();
  std::printf(test::failures == 0 ? "passed\n" : "%d checks failed\n", test::failures);
  return test::failures == 0 ? 0 : 1;
}
