// What the kernel files share: instruction-set clones, vector types, exponentials, work splitting.
//
// Every kernel is written once. Where the compiler can, a function marked APUS_CLONES is compiled for
// AVX-512, AVX2 and the baseline, and the loader picks one; elsewhere (NEON) the target's own vectors are
// used. Functions called by such a function must be APUS_INLINE, or be clones themselves.
#ifndef APUS_INTERNAL_H
#define APUS_INTERNAL_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "apus_kernels.h"

#if defined(__x86_64__) && defined(__linux__)
#define APUS_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define APUS_CLONES
#endif
#define APUS_INLINE static inline __attribute__((always_inline))

// Lets the compiler reorder sums and fuse multiply-adds in the enclosing block. Never around a range
// reduction such as that of apus_exp, which depends on the order.
#define APUS_FAST_MATH _Pragma("clang fp reassociate(on) contract(fast)")
#define APUS_FUSED_MATH _Pragma("clang fp contract(fast)")
// Before a loop whose outputs are its inputs at the same index, or do not overlap them.
#define APUS_ELEMENTWISE _Pragma("clang loop vectorize(assume_safety)")

// 16 floats: one AVX-512 register, two of AVX2, four of SSE or NEON. Never passed by value.
typedef float apus_v16 __attribute__((ext_vector_type(16)));
typedef float apus_v16_unaligned __attribute__((ext_vector_type(16), aligned(4)));
typedef int32_t apus_i16 __attribute__((ext_vector_type(16)));
#define APUS_LOAD16(p) (*(const apus_v16_unaligned *)(p))
#define APUS_STORE16(p, v) (*(apus_v16_unaligned *)(p) = (v))

// Below this many elements a kernel runs on the calling thread: a fork costs more than the work.
enum { APUS_SERIAL_BELOW = 16384 };
// Elements of one task of an elementwise kernel.
enum { APUS_BLOCK = 16384 };

APUS_INLINE int64_t apus_min(int64_t a, int64_t b) { return a < b ? a : b; }
APUS_INLINE int64_t apus_max(int64_t a, int64_t b) { return a > b ? a : b; }
APUS_INLINE int64_t apus_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
APUS_INLINE int64_t apus_round_up(int64_t a, int64_t b) { return apus_ceil_div(a, b) * b; }

// Runs the tasks on the pool, or serially where `work` elements in all are few.
void apus_for(int64_t count, int64_t work, apus_task task, void *context);
// The caller's slot in its team, 0 ..< apus_thread_count(): which part of a scratch is its own.
int apus_thread_slot(void);

// exp(x), error below 2 units in the last place; 0 below -87.7, infinity above 88.3; NaN gives NaN.
//
// x = n ln 2 + r with |r| <= ln 2 / 2 (ln 2 in two parts, Cody and Waite 1980), a polynomial for exp(r), and
// 2^n by its exponent bits: n = -127 makes 0, n = 128 infinity. Adding 1.5 * 2^23 rounds to an integer and
// leaves it in the low bits of the sum: no conversion that a NaN could trap.
APUS_INLINE float apus_exp(float x) {
  APUS_FUSED_MATH
  x = x < -88.0f ? -88.0f : x;
  x = x > 89.0f ? 89.0f : x;
  union { float f; uint32_t u; } shifted, power;
  shifted.f = x * 1.44269504f + 12582912.0f;
  float n = shifted.f - 12582912.0f;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r;
  p = p + 1.0f;
  power.u = (shifted.u << 23) + 0x3F800000u;
  return p * power.f;
}

// The sum and the largest of 16 lanes, in a fixed order.
#define APUS_SUM16(v) apus_sum_lanes((const float *)&(v))
#define APUS_MAX16(v) apus_max_lanes((const float *)&(v))
APUS_INLINE float apus_sum_lanes(const float *v) {
  float s[8];
  for (int i = 0; i < 8; i++) s[i] = v[i] + v[i + 8];
  for (int i = 0; i < 4; i++) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}
APUS_INLINE float apus_max_lanes(const float *v) {
  float s[8];
  for (int i = 0; i < 8; i++) s[i] = v[i] > v[i + 8] ? v[i] : v[i + 8];
  for (int i = 0; i < 4; i++) s[i] = s[i] > s[i + 4] ? s[i] : s[i + 4];
  float a = s[0] > s[2] ? s[0] : s[2], b = s[1] > s[3] ? s[1] : s[3];
  return a > b ? a : b;
}
#endif
