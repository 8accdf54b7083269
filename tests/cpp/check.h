// The little that these tests need: failures that say where and what, an accuracy table, and random numbers.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "cpu/kernels.h"

namespace mpsmnist::test {

inline int failures = 0;

inline void report(bool passed, const char* file, int line, const std::string& what) {
  if (passed) return;
  ++failures;
  std::printf("FAILED %s:%d: %s\n", file, line, what.c_str());
}

#define CHECK(condition, what) \
  ::mpsmnist::test::report((condition), __FILE__, __LINE__, std::string(#condition) + ": " + (what))

inline std::mt19937& generator() {
  static std::mt19937 engine(20240229);
  return engine;
}

/// `count` floats in [low, high), of which about `zeros` (a share) are zero.
inline std::vector<float> random_floats(std::size_t count, float low, float high, float zeros = 0) {
  std::uniform_real_distribution<float> value(low, high);
  std::bernoulli_distribution zero(zeros);
  std::vector<float> result(count);
  for (float& x : result) x = zero(generator()) ? 0.0F : value(generator());
  return result;
}

template <typename To, typename From>
std::vector<To> as(const std::vector<From>& from) {
  return {from.begin(), from.end()};
}

/// Memory that starts one float past an aligned address, with a guard value behind its end.
class Misaligned {
 public:
  explicit Misaligned(std::size_t size, float fill = 0) : storage_(size + 2, fill) { storage_.back() = kGuard; }
  explicit Misaligned(const std::vector<float>& values) : Misaligned(values.size()) {
    std::copy(values.begin(), values.end(), data());
  }

  float* data() { return storage_.data() + 1; }
  float& operator[](std::size_t i) { return storage_[i + 1]; }
  float operator[](std::size_t i) const { return storage_[i + 1]; }
  std::vector<float> values() const { return {storage_.begin() + 1, storage_.end() - 1}; }
  bool intact() const { return storage_.back() == kGuard; }

 private:
  static constexpr float kGuard = 12345.0F;
  std::vector<float> storage_;
};

/// |a - truth| / |truth|, by the Euclidean norm.
template <typename Real>
double relative_error(const std::vector<Real>& a, const std::vector<double>& truth) {
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    difference += (a[i] - truth[i]) * (a[i] - truth[i]);
    norm += truth[i] * truth[i];
  }
  return std::sqrt(difference / (norm > 0 ? norm : 1));
}

/// Checks one kernel's error against float64, and remembers the worst of each kernel for the table.
void check_accuracy(const std::string& isa, const std::string& kernel, double error, double scalar_error, double limit);
void print_accuracy_table();

void test_conv0(const cpu::Kernels& kernels);
void test_conv1(const cpu::Kernels& kernels);
void test_fc0(const cpu::Kernels& kernels);
void test_fc1(const cpu::Kernels& kernels);
void test_update(const cpu::Kernels& kernels);
void test_softmax();
void test_engine(const std::string& isa, bool with_fork);
void test_instruction_set_choice();
void test_thread_pool();
void test_executor();
void test_step_queue();

}  // namespace mpsmnist::test
