// Vectors of floats by compiler extensions: the one place that knows how wide a register is.
//
// Included only by the kernel sources, which are compiled once for each instruction set. Everything lives in a
// namespace named after the instruction set (MPSMNIST_ISA, a macro), so that no function compiled for a wide one can be
// linked into code that runs on a narrow one. For the same reason these sources include no C++ standard library
// containers.
#pragma once

#include <stdint.h>
#include <string.h>

#ifndef MPSMNIST_ISA
#error "kernel sources are compiled with -DMPSMNIST_ISA=<baseline|avx2|avx512|neon>"
#endif

#define MPSMNIST_INLINE inline __attribute__((always_inline))

namespace mpsmnist::cpu::MPSMNIST_ISA {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
inline constexpr int kRegisters = 16;
#elif defined(__aarch64__)
inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 32;
#else
inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 16;
#endif

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntVec __attribute__((vector_size(4 * kLanes)));
typedef uint8_t ByteVec __attribute__((vector_size(kLanes)));

MPSMNIST_INLINE Vec load(const float* from) {
  Vec v;
  memcpy(&v, from, sizeof v);
  return v;
}

MPSMNIST_INLINE void store(float* to, Vec v) { memcpy(to, &v, sizeof v); }

/// The same float in every lane (x - 0 is x for every x, so this costs one broadcast).
MPSMNIST_INLINE Vec splat(float x) { return x - Vec{}; }

/// Not max(v, 0): a NaN must stay one.
MPSMNIST_INLINE Vec relu(Vec v) { return v < Vec{} ? Vec{} : v; }

/// Bytes 0..255 as integers, and back.
MPSMNIST_INLINE IntVec load_bytes(const uint8_t* from) {
  ByteVec bytes;
  memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, IntVec);
}

MPSMNIST_INLINE void store_bytes(uint8_t* to, IntVec v) {
#if defined(__AVX512F__)
  const ByteVec low = __builtin_convertvector(v, ByteVec);
#else
  // The lowest byte of each lane (little-endian); compilers turn the conversion into one scalar move per lane.
  typedef uint8_t Bytes __attribute__((vector_size(4 * kLanes)));
  Bytes bytes;
  memcpy(&bytes, &v, sizeof bytes);
#if defined(__AVX2__)
  const ByteVec low = __builtin_shufflevector(bytes, bytes, 0, 4, 8, 12, 16, 20, 24, 28);
#else
  const ByteVec low = __builtin_shufflevector(bytes, bytes, 0, 4, 8, 12);
#endif
#endif
  memcpy(to, &low, sizeof low);
}

/// The sum of the lanes, halves first.
MPSMNIST_INLINE float sum_lanes(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
