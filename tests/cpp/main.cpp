// Runs the tests (--help lists doctest's filters), then prints how accurate the kernels were.
//
//   -tc='conv1*'  some test cases        -sc=avx2  one instruction set
//   -tce='*fork*,*failed step*' all but two: emulators (qemu-user) cannot start threads in a forked child, and ignore
//   limits on memory
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "support/accuracy.h"

int main(int argc, char** argv) {
  const int status = doctest::Context(argc, argv).run();
  mpsmnist::test::print_accuracy_table();
  return status;
}
