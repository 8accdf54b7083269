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

/// The same for code that serves vectors and single floats: T is Vec or float.
template <typename T>
MPSMNIST_INLINE T load(const float* from) {
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

MPSMNIST_INLINE void store(float* to, float x) { *to = x; }

/// The same value, but the compiler cannot tell, so it computes it once and keeps it in a register. Without this, gcc
/// repeats loads for each of their uses, and additions for each address.
MPSMNIST_INLINE Vec in_register(Vec v) {
#if defined(__aarch64__)
  asm("" : "+w"(v));
#elif defined(__AVX512F__)
  asm("" : "+v"(v));
#else
  asm("" : "+x"(v));
#endif
  return v;
}

MPSMNIST_INLINE const float* in_register(const float* address) {
  asm("" : "+r"(address));
  return address;
}

/// The same float in every lane (x - 0 is x for every x, so this costs one broadcast).
MPSMNIST_INLINE Vec splat(float x) { return x - Vec{}; }

/// Not max(v, 0): a NaN must stay one.
MPSMNIST_INLINE Vec relu(Vec v) { return v < Vec{} ? Vec{} : v; }

/// Whether any lane is not zero.
MPSMNIST_INLINE bool any(IntVec v) {
  typedef int64_t Longs __attribute__((vector_size(4 * kLanes)));
  Longs longs;
  memcpy(&longs, &v, sizeof longs);
  int64_t all = 0;
  for (int i = 0; i < kLanes / 2; ++i) all |= longs[i];
  return all != 0;
}

/// Bytes 0..255 as integers, and back.
MPSMNIST_INLINE IntVec load_bytes(const uint8_t* from) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  // gcc takes each byte through a general register; four of them in every lane, shifted apart, stay in vectors.
  int32_t fours[2];
  memcpy(fours, from, sizeof fours);
  const IntVec low = IntVec{} + fours[0], high = IntVec{} + fours[1];
  const IntVec both = __builtin_shufflevector(low, high, 0, 1, 2, 3, 12, 13, 14, 15);
  return both >> IntVec{0, 8, 16, 24, 0, 8, 16, 24} & 255;
#else
  ByteVec bytes;
  memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, IntVec);
#endif
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

typedef float Vec4 __attribute__((vector_size(16)));

/// Four sums of lanes: those whose numbers are the same modulo 4.
MPSMNIST_INLINE Vec4 fold(Vec v) {
#if defined(__AVX512F__)
  typedef float Vec8 __attribute__((vector_size(32)));
  const Vec8 half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                    __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
#elif defined(__AVX2__)
  return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
  return v;
#endif
}

/// The sums of the lanes of four vectors: a transposed sum, cheaper than four of the above.
MPSMNIST_INLINE Vec4 sum_lanes(Vec a, Vec b, Vec c, Vec d) {
  const Vec4 a4 = fold(a), b4 = fold(b), c4 = fold(c), d4 = fold(d);
  const Vec4 ab = __builtin_shufflevector(a4, b4, 0, 4, 1, 5) + __builtin_shufflevector(a4, b4, 2, 6, 3, 7);
  const Vec4 cd = __builtin_shufflevector(c4, d4, 0, 4, 1, 5) + __builtin_shufflevector(c4, d4, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/// A T in scratch memory, at the first cache line from `from` on: for what stacks may be too small for.
template <typename T>
MPSMNIST_INLINE T* in_scratch(float* from) {
  constexpr uintptr_t kBytes = kLine * sizeof(float);
  return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(from) + kBytes - 1) / kBytes * kBytes);
}

}  // namespace mpsmnist::cpu::MPSMNIST_ISA
