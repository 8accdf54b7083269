// MPSMNIST_ISA.
#include <doctest/doctest.h>

#include "support/instruction_sets.h"

namespace mpsmnist::test {
namespace {

TEST_CASE("MPSMNIST_ISA chooses the instruction set") {
  for_each_instruction_set([](const Kernels& kernels) {
    const ForcedInstructionSet forced(kernels.isa);
    CHECK(&cpu::choose_kernels() == &kernels);
  });
}

TEST_CASE("without MPSMNIST_ISA the best instruction set is chosen") {
  CHECK(&cpu::choose_kernels() == cpu::available_kernels()[0]);
  const ForcedInstructionSet forced("");
  CHECK(&cpu::choose_kernels() == cpu::available_kernels()[0]);
}

TEST_CASE("an error names the instruction set that was asked for, and those that there are") {
  const ForcedInstructionSet forced("sse9");
  std::string message;
  try {
    cpu::choose_kernels();
  } catch (const DeviceError& error) {
    message = error.what();
  }
  CHECK(message.find("\"sse9\"") != std::string::npos);
  CHECK(message.find(std::string("has: ") + cpu::available_kernels()[0]->isa) != std::string::npos);
}

}  // namespace
}  // namespace mpsmnist::test
