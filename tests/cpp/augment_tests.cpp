// Distorted images: the same bytes wherever this is compiled, and what a caller sees of the parts of a long call.
// Under the sanitizers these also show that no strength leads outside of an image.
#include <doctest/doctest.h>

#include <algorithm>
#include <cfenv>
#include <cstdint>
#include <new>
#include <vector>

#include "model.h"
#include "mpsmnist/mpsmnist.h"

namespace mpsmnist::test {
namespace {

constexpr Distortion kSome = {.rotation = 20, .shift = 1.5, .scale = 0.2, .shear = 0.3, .elastic = 2, .thickness = 0.5};
constexpr Distortion kMost = {.rotation = 180, .shift = 28, .scale = 0.9, .shear = 1, .elastic = 28, .thickness = 4};
constexpr std::uint8_t kUntouched = 99;

using Bytes = std::vector<std::uint8_t>;

Bytes images_of(std::int64_t count) {
  Bytes images(static_cast<std::size_t>(count * kImagePixels));
  for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<std::uint8_t>(i * 7919 / 3);
  return images;
}

Bytes augmented(const Bytes& images, const Distortion& strengths, std::int64_t threads) {
  Bytes out(images.size(), kUntouched);
  augment(images.data(), static_cast<std::int64_t>(images.size()) / kImagePixels, strengths, 7, 3, out.data(), threads);
  return out;
}

/// FNV-1a.
std::uint64_t hash(const Bytes& bytes) {
  std::uint64_t value = 0xCBF29CE484222325U;
  for (const std::uint8_t byte : bytes) value = (value ^ byte) * 0x100000001B3U;
  return value;
}

TEST_CASE("augment: the bytes are the same everywhere, in any mode of rounding and by any number of threads") {
  const Bytes images = images_of(101);
  for (const int rounding : {FE_TONEAREST, FE_UPWARD, FE_TOWARDZERO}) {
    for (const int threads : {1, 2, 5}) {
      CAPTURE(rounding);
      CAPTURE(threads);
      std::fesetround(rounding);
      const Bytes some = augmented(images, kSome, threads), most = augmented(images, kMost, threads);
      std::fesetround(FE_TONEAREST);
      CHECK(hash(some) == 7349140994947443746U);
      CHECK(hash(most) == 5977873876561688609U);
    }
  }
}

TEST_CASE("augment: a report follows each part, and what it throws ends the call") {
  constexpr std::int64_t kPart = 32 * 64;  // images of one thread
  const Bytes images = images_of(3 * kPart - 5);
  const Bytes whole = augmented(images, kSome, 1);

  Bytes out(images.size());
  std::vector<std::int64_t> reports;
  augment(images.data(), 3 * kPart - 5, kSome, 7, 3, out.data(), 1,
          [&](std::int64_t done) { reports.push_back(done); });
  CHECK(reports == std::vector<std::int64_t>{kPart, 2 * kPart, 3 * kPart - 5});
  CHECK(out == whole);

  Bytes begun(images.size(), kUntouched);
  const auto fail = [](std::int64_t) { throw std::bad_alloc(); };  // the caller's own: not a DeviceError
  CHECK_THROWS_AS(augment(images.data(), 3 * kPart - 5, kSome, 7, 3, begun.data(), 1, fail), std::bad_alloc);
  Bytes expected(images.size(), kUntouched);
  std::copy_n(whole.begin(), kPart * kImagePixels, expected.begin());
  CHECK(begun == expected);
}

TEST_CASE("augment: arguments are refused before anything is written") {
  const Bytes images = images_of(1);
  Bytes out(images.size(), kUntouched);
  CHECK_THROWS_WITH_AS(augment(images.data(), 1, {.scale = 1}, 7, 3, out.data()), "scale: 1; expected 0 to 0.9",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(augment(images.data(), 1, kSome, 7, 3, out.data(), -1),
                       "threads: -1; expected 1 to 1024, or 0 for the cores that this process may use", ArgumentError);
  CHECK(out == Bytes(images.size(), kUntouched));
}

}  // namespace
}  // namespace mpsmnist::test
