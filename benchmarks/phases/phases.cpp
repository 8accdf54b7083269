// Where the time of a step on the CPU goes: milliseconds, arithmetic and memory traffic of each phase, beside the best
// that this machine can do.
//
//   mpsmnist_phases IMAGES [THREADS] [BATCH...]
//
// IMAGES is an IDX file of bytes, not compressed: MNIST's train-images-idx3-ubyte. The peaks are measured with code for
// this very processor (-march=native), the phases with the kernels that Trainer would choose.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cpu/network.h"
#include "cpu_count.h"
#include "model.h"

namespace {

using namespace mpsmnist;
using Clock = std::chrono::steady_clock;

constexpr int kClasses = 10;
constexpr int kWarmUp = 20;
constexpr int kRounds = 60;
constexpr double kGiga = 1e9;

double seconds_of(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A peak is what the machine can do while nobody else uses it, so the best of some rounds.
double best_seconds(int rounds, const std::function<void()>& work) {
  double best = seconds_of(work);
  for (int round = 1; round < rounds; ++round) best = std::min(best, seconds_of(work));
  return best;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Vec __attribute__((vector_size(4 * kLanes)));

// Multiply-adds in registers: ten independent sums hide the latency of each. They differ, or the compiler would compute
// one for all.
constexpr int kSums = 10;
float multiply_and_add(std::int64_t repeats) {
  Vec sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = Vec{} + static_cast<float>(i);
  Vec factor = Vec{} + 1e-9F;
  for (std::int64_t i = 0; i < repeats; ++i) {
    for (Vec& sum : sums) sum += factor * sum;
#if defined(__x86_64__)
    asm volatile("" : "+x"(factor));
#else
    asm volatile("" : "+w"(factor));
#endif
  }
  Vec total = {};
  for (const Vec sum : sums) total += sum;
  return total[0];
}

float read_all(const float* from, std::size_t count) {
  Vec sums[8] = {};
  for (std::size_t i = 0; i + 8 * kLanes <= count; i += 8 * kLanes) {
    for (std::size_t v = 0; v < 8; ++v) sums[v] += *reinterpret_cast<const Vec*>(from + i + v * kLanes);
  }
  Vec total = {};
  for (const Vec sum : sums) total += sum;
  return total[0];
}

struct Peaks {
  double gflops;
  double cache_gbps;   // 12 MB, the size of fc0's weights, again and again
  double memory_gbps;  // 256 MB
};

Peaks measure_peaks(int threads) {
  ThreadTeam team(threads);
  std::vector<float> results(static_cast<std::size_t>(threads) * 64);
  const auto on_all = [&](const std::function<float(std::int64_t)>& work) {
    team.run(threads, [&](std::int64_t task, int) { results[static_cast<std::size_t>(task) * 64] = work(task); });
  };
  // About a millisecond, for a fifth of a second: a new thread may share its creator's core for a while.
  constexpr std::int64_t kRepeats = 500'000;
  const double arithmetic = best_seconds(200, [&] { on_all([](std::int64_t) { return multiply_and_add(kRepeats); }); });
  const auto reading = [&](std::size_t megabytes, int rounds) {
    Buffer<float> data(megabytes << 18);
    const std::size_t part = data.size() / static_cast<std::size_t>(threads);
    const double seconds = best_seconds(rounds, [&] {
      on_all([&](std::int64_t task) { return read_all(data.data() + static_cast<std::size_t>(task) * part, part); });
    });
    return static_cast<double>(data.size() * sizeof(float)) / seconds / kGiga;
  };
  return {.gflops = 2.0 * kSums * kLanes * static_cast<double>(kRepeats) * threads / arithmetic / kGiga,
          .cache_gbps = reading(12, 60),
          .memory_gbps = reading(256, 8)};
}

std::vector<float> read_images(const char* path, std::int64_t n) {
  constexpr std::streamoff kHeader = 16;
  std::vector<unsigned char> bytes(static_cast<std::size_t>(n) * kImagePixels);
  std::ifstream file(path, std::ios::binary);
  file.seekg(kHeader);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()))) {
    std::fprintf(stderr, "%s has no %lld images after its header\n", path, static_cast<long long>(n));
    std::exit(2);
  }
  std::vector<float> pixels(bytes.size());
  std::transform(bytes.begin(), bytes.end(), pixels.begin(),
                 [](unsigned char byte) { return static_cast<float>(byte) / 255.0F; });
  return pixels;
}

// Arithmetic of a phase, in operations per image, and bytes that it must read and write of weights and activations if
// no cache keeps any. Products with a zero activation are skipped, and do not count; conv0's windows of blank paper are
// skipped too, but count.
struct Work {
  const char* name;
  double operations;
  double bytes_per_image;
  double bytes_per_step;
};

using Works = std::array<Work, 6>;

Works works(const cpu::Activations& activations, std::int64_t n) {
  const auto share = [](auto* values, std::int64_t count, auto is_alive) {
    return static_cast<double>(std::count_if(values, values + count, is_alive)) / static_cast<double>(count);
  };
  const auto won = [](std::uint8_t code) { return code != cpu::kDead; };
  const double alive0 = share(activations.codes0.data(), n * cpu::kPool0Size, won);
  const double alive1 = share(activations.codes1.data(), n * kFlat, won);
  std::printf("batch %lld: ReLU lets %.0f%% of pool0 and %.0f%% of pool1 through\n", static_cast<long long>(n),
              100 * alive0, 100 * alive1);
  constexpr double kFc0 = 2.0 * kFlat * kHidden;
  constexpr double kFc1 = 2.0 * kHidden * kClasses;
  constexpr double kConv0 = 2.0 * kImagePixels * kConv0Channels * cpu::kTaps;
  constexpr double kWinograd = 2.0 * cpu::kTilesPerImage * cpu::kFrequencies * kConv0Channels * kConv1Channels;
  const double winners0 = 2.0 * cpu::kTaps * cpu::kPool0Size * alive0;
  const double winners1 = 2.0 * cpu::kConv1Filter * kFlat * alive1;
  constexpr double kFloat = sizeof(float);
  constexpr double kPlanes = kFloat * cpu::kPlane, kPooled = kFloat * kFlat, kUnits = kFloat * kHidden;
  constexpr double kTransformed = kFloat * cpu::kFrequencies * kConv0Channels * kConv1Channels;
  constexpr double kFc0Weights = kPooled * kHidden, kFc1Weights = kUnits * kClasses;
  return {{
      {"conv0 and conv1 forward", kConv0 + kWinograd, kFloat * kImagePixels + 2 * kPlanes + kPooled, kTransformed},
      {"fc0 forward", kFc0 * alive1, kPooled + kUnits, kFc0Weights},
      {"fc1, loss, fc1 data gradient", 2 * kFc1, 3 * kUnits, 2 * kFc1Weights},
      {"fc0 and fc1 backward, update", 2 * kFc0 * alive1 + kFc1, 2 * kPooled + 2 * kUnits,
       2 * (kFc0Weights + kFc1Weights)},
      {"conv1 and conv0 backward, update", winners1 + kWinograd + winners0, 2 * kPlanes + 3 * kPooled, kTransformed},
      {"conv0 update, conv1 transforms", 0, 0, 2 * kTransformed},
  }};
}

void measure(cpu::Network& network, const char* path, std::int64_t n, const Peaks& peaks) {
  const std::vector<float> images = read_images(path, n);
  std::vector<float> labels(static_cast<std::size_t>(n) * kClasses);
  std::mt19937 random(1);
  for (std::size_t row = 0; row < labels.size(); row += kClasses) labels[row + random() % kClasses] = 1;
  const cpu::Target target = {.gradient = nullptr, .learning_rate = 0.001F};
  const std::array<std::function<void()>, 6> phases = {
      [&] { network.convolutions_forward(images.data(), n); },          [&] { network.dense_forward(n); },
      [&] { network.loss_forward_and_backward(labels.data(), n, n); },  [&] { network.dense_backward(n, target); },
      [&] { network.convolutions_backward(images.data(), n, target); }, [&] { network.convolutions_finish(n, target); },
  };
  network.prepare(n);
  std::array<std::vector<double>, 6> seconds;
  for (int round = 0; round < kWarmUp + kRounds; ++round) {
    for (std::size_t p = 0; p < phases.size(); ++p) {
      const double spent = seconds_of(phases[p]);
      if (round >= kWarmUp) seconds[p].push_back(spent);
    }
  }
  const Works table = works(network.activations(), n);
  std::printf("| phase | ms | GFLOP/s | of peak | GB/s | MB |\n|---|---|---|---|---|---|\n");
  double total = 0, operations = 0;
  for (std::size_t p = 0; p < phases.size(); ++p) {
    const double middle = median(seconds[p]);
    const double done = table[p].operations * static_cast<double>(n);
    const double bytes = table[p].bytes_per_image * static_cast<double>(n) + table[p].bytes_per_step;
    std::printf("| %s | %.3f | %.0f | %.0f%% | %.1f | %.1f |\n", table[p].name, 1e3 * middle, done / middle / kGiga,
                100 * done / middle / kGiga / peaks.gflops, bytes / middle / kGiga, bytes / 1e6);
    total += middle;
    operations += done;
  }
  std::printf("| all | %.3f | %.0f | %.0f%% | | |\n\n", 1e3 * total, operations / total / kGiga,
              100 * operations / total / kGiga / peaks.gflops);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: mpsmnist_phases IMAGES [THREADS] [BATCH...]\n");
    return 2;
  }
  EngineOptions options{.parameters = model_parameters(kClasses), .num_classes = kClasses};
  options.threads = argc > 2 ? std::atoi(argv[2]) : usable_cores();
  std::vector<std::int64_t> batches;
  for (int i = 3; i < argc; ++i) batches.push_back(std::atoll(argv[i]));
  if (batches.empty()) batches = {16, 64, 256};
  const Peaks peaks = measure_peaks(options.threads);
  cpu::Network network(options);
  std::printf(
      "%d threads, kernels for %s; at best %.0f GFLOP/s, reading %.0f GB/s from 12 MB, %.0f GB/s from 256 MB\n\n",
      options.threads, network.instruction_set(), peaks.gflops, peaks.cache_gbps, peaks.memory_gbps);
  for (const std::int64_t n : batches) {
    network.write_parameters(initial_parameters(options.parameters, Init::kHe, 0).data());
    measure(network, argv[1], n, peaks);
  }
}
