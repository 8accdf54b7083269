// Images distorted by several threads. Each is drawn from a stream of its own, so how they are shared out changes
// nothing.
#include <algorithm>

#include "cpu_count.h"
#include "distort.h"
#include "inputs.h"
#include "model.h"
#include "reject.h"
#include "splitmix64.h"
#include "system_limits.h"
#include "thread_team.h"

namespace mpsmnist {
namespace {

constexpr std::int64_t kBlock = 32;            // images a task: starting a thread takes about as long
constexpr std::int64_t kBlocksPerThread = 64;  // between two reports

void check_strength(const char* name, double value, double most) {
  if (!(value >= 0 && value <= most)) reject(name, ": ", value, "; expected 0 to ", most);
}

void check_strengths(const Distortion& strengths) {
  check_strength("rotation", strengths.rotation, 180);
  check_strength("shift", strengths.shift, kImageSide);
  check_strength("scale", strengths.scale, 0.9);
  check_strength("shear", strengths.shear, 1);
  check_strength("elastic", strengths.elastic, kImageSide);
  check_strength("thickness", strengths.thickness, 4);
}

constexpr std::int64_t blocks_of(std::int64_t images) { return (images + kBlock - 1) / kBlock; }

}  // namespace

void augment(const std::uint8_t* images, std::int64_t count, const Distortion& strengths, std::uint64_t seed,
             std::uint64_t first, std::uint8_t* out, std::int64_t threads, const OnImages& on_images) {
  check_strengths(strengths);
  check_threads(threads);
  const std::int64_t useful = std::clamp<std::int64_t>(blocks_of(count), 1, threads > 0 ? threads : usable_cores());
  ThreadTeam team = with_device_errors("cpu", [&] { return ThreadTeam(static_cast<int>(useful)); });
  const std::int64_t part = useful * kBlocksPerThread * kBlock;
  for (std::int64_t begin = 0; begin < count; begin += part) {
    const std::int64_t end = std::min(begin + part, count);
    const auto distort_block = [&](std::int64_t block, int) {
      const std::int64_t from = begin + block * kBlock;
      for (std::int64_t i = from; i < std::min(from + kBlock, end); ++i) {
        const std::uint64_t key = splitmix64(seed, first + static_cast<std::uint64_t>(i));
        distort(images + i * kImagePixels, strengths, key, out + i * kImagePixels);
      }
    };
    with_device_errors("cpu", [&] { team.run(blocks_of(end - begin), distort_block); });  // after a fork it starts anew
    if (on_images) on_images(end);
  }
}

}  // namespace mpsmnist
