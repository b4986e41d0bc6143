// Widening to float32 and rounding back, for one element and for 16.
//
// Kernel bodies (the .h files that apus_each_element.h includes) use APUS_WIDEN, APUS_ROUND, APUS_LOAD and
// APUS_STORE, which follow APUS_SUFFIX; for float32 they do nothing.
#ifndef APUS_ELEMENT_CONVERSION_H
#define APUS_ELEMENT_CONVERSION_H
#include "internal.h"

typedef uint32_t apus_u16 __attribute__((ext_vector_type(16)));
typedef uint16_t apus_h16 __attribute__((ext_vector_type(16)));
typedef uint16_t apus_h16_unaligned __attribute__((ext_vector_type(16), aligned(2)));
typedef _Float16 apus_half16 __attribute__((ext_vector_type(16)));

APUS_INLINE float apus_widen_f32(float x) { return x; }
APUS_INLINE float apus_round_f32(float x) { return x; }

APUS_INLINE float apus_widen_bf16(apus_bf16 x) {
  union { uint32_t bits; float value; } wide = {.bits = (uint32_t)x << 16};
  return wide.value;
}

// Adding just below half of the last kept bit, and that bit, rounds ties to even and carries into the
// exponent, up to infinity. A NaN is made quiet instead: its fraction could be lost or carry into the sign.
APUS_INLINE apus_bf16 apus_round_bf16(float x) {
  union { float value; uint32_t bits; } wide = {.value = x};
  uint32_t rounded = wide.bits + 0x7FFFu + (wide.bits >> 16 & 1), quiet = wide.bits | 0x400000u;
  return (apus_bf16)(((wide.bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded) >> 16);
}

// The compiler's own binary16: one instruction where the processor has it (F16C, AVX-512, NEON).
APUS_INLINE float apus_widen_f16(apus_f16 x) {
  union { uint16_t bits; _Float16 value; } half = {.bits = x};
  return (float)half.value;
}
APUS_INLINE apus_f16 apus_round_f16(float x) {
  union { _Float16 value; uint16_t bits; } half = {.value = (_Float16)x};
  return half.bits;
}

// The same for 16 elements, by pointer: vectors are never passed by value.
APUS_INLINE void apus_load_f32(apus_v16 *out, const float *p) { *out = APUS_LOAD16(p); }
APUS_INLINE void apus_store_f32(float *p, const apus_v16 *x) { APUS_STORE16(p, *x); }

APUS_INLINE void apus_load_bf16(apus_v16 *out, const apus_bf16 *p) {
  *out = (apus_v16)(__builtin_convertvector(*(const apus_h16_unaligned *)p, apus_u16) << 16);
}
APUS_INLINE void apus_store_bf16(apus_bf16 *p, const apus_v16 *x) {
  apus_u16 bits = (apus_u16)*x, rounded = bits + 0x7FFFu + (bits >> 16 & 1), quiet = bits | 0x400000u;
  rounded = (bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded;
  *(apus_h16_unaligned *)p = __builtin_convertvector(rounded >> 16, apus_h16);
}

APUS_INLINE void apus_load_f16(apus_v16 *out, const apus_f16 *p) {
  *out = __builtin_convertvector((apus_half16)*(const apus_h16_unaligned *)p, apus_v16);
}
APUS_INLINE void apus_store_f16(apus_f16 *p, const apus_v16 *x) {
  *(apus_h16_unaligned *)p = (apus_h16)__builtin_convertvector(*x, apus_half16);
}

#define APUS_WIDEN(x) APUS_JOIN(apus_widen_, APUS_SUFFIX)(x)
#define APUS_ROUND(x) APUS_JOIN(apus_round_, APUS_SUFFIX)(x)
#define APUS_LOAD(p) ({ apus_v16 loaded; APUS_JOIN(apus_load_, APUS_SUFFIX)(&loaded, p); loaded; })
#define APUS_STORE(p, x) ({ const apus_v16 stored = (x); APUS_JOIN(apus_store_, APUS_SUFFIX)(p, &stored); })
#define APUS_WIDEN_OUTPUT(x) APUS_JOIN(apus_widen_, APUS_OUTPUT_SUFFIX)(x)
#define APUS_ROUND_OUTPUT(x) APUS_JOIN(apus_round_, APUS_OUTPUT_SUFFIX)(x)
#endif
