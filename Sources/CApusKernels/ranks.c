// Sums and maxima over the ranks of a group.
//
// The numbers of all ranks are added in order of rank in a block on the stack, in float32 for the 16-bit
// types, rounded once and written to every output. Results depend on nothing else.
#include "internal.h"

enum { BLOCK = 2048, TASK = 64 * 1024 };

APUS_INLINE float bf16_to_f32(uint16_t h) {
  union { uint32_t u; float f; } v = {(uint32_t)h << 16};
  return v.f;
}

// To nearest, ties to even; NaN stays NaN.
APUS_INLINE uint16_t f32_to_bf16(float x) {
  union { float f; uint32_t u; } v = {x};
  uint32_t rounded = (v.u + 0x7FFFu + ((v.u >> 16) & 1u)) >> 16;
  uint32_t quiet = (v.u >> 16) | 0x40u;
  return (uint16_t)((v.u & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
}

// The exponent's bias differs by 112; a multiplication moves it and makes subnormal numbers normal.
APUS_INLINE float f16_to_f32(uint16_t h) {
  uint32_t magnitude = h & 0x7FFFu;
  union { uint32_t u; float f; } v = {magnitude << 13};
  v.f *= 0x1p112f;
  v.u |= magnitude >= 0x7C00u ? 0x7F800000u : 0u;
  v.u |= (uint32_t)(h & 0x8000u) << 16;
  return v.f;
}

// To nearest, ties to even; beyond 65504 infinity; NaN stays NaN. Adding 0.5 lets the processor round what
// becomes subnormal.
APUS_INLINE uint16_t f32_to_f16(float x) {
  union { float f; uint32_t u; } v = {x};
  uint32_t sign = (v.u >> 16) & 0x8000u, magnitude = v.u & 0x7FFFFFFFu;
  union { uint32_t u; float f; } small = {magnitude};
  small.f += 0.5f;
  uint32_t subnormal = small.u - 0x3F000000u;
  uint32_t normal = (magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13;
  uint32_t special = magnitude > 0x7F800000u ? 0x7E00u : 0x7C00u;
  uint32_t h = magnitude >= 0x47800000u ? special : magnitude < 0x38800000u ? subnormal : normal;
  return (uint16_t)(sign | h);
}

#define SAME(x) (x)

// One function a type: SUM is the type of the block, LOAD and STORE convert.
#define DEFINE(NAME, TYPE, SUM, LOAD, STORE)                                                        \
  APUS_CLONES static void NAME(const apus_rank_terms *t, int64_t first, int64_t count) {            \
    SUM sum[BLOCK];                                                                                 \
    for (int64_t start = first; start < first + count; start += BLOCK) {                            \
      int64_t n = apus_min(BLOCK, first + count - start);                                           \
      const TYPE *x = (const TYPE *)t->inputs[0] + start;                                           \
      for (int64_t i = 0; i < n; i++) sum[i] = LOAD(x[i]);                                          \
      for (int64_t r = 1; r < t->input_count; r++) {                                                \
        const TYPE *y = (const TYPE *)t->inputs[r] + start;                                         \
        if (t->maximum) {                                                                           \
          for (int64_t i = 0; i < n; i++) {                                                         \
            SUM v = LOAD(y[i]);                                                                     \
            sum[i] = v > sum[i] || v != v ? v : sum[i];                                             \
          }                                                                                         \
        } else {                                                                                    \
          for (int64_t i = 0; i < n; i++) sum[i] += LOAD(y[i]);                                     \
        }                                                                                           \
      }                                                                                             \
      for (int64_t o = 0; o < t->output_count; o++) {                                               \
        TYPE *out = (TYPE *)t->outputs[o] + start;                                                  \
        for (int64_t i = 0; i < n; i++) out[i] = (TYPE)STORE(sum[i]);                               \
      }                                                                                             \
    }                                                                                               \
  }

DEFINE(reduce_f32, float, float, SAME, SAME)
DEFINE(reduce_f64, double, double, SAME, SAME)
DEFINE(reduce_i32, int32_t, int32_t, SAME, SAME)
DEFINE(reduce_bf16, uint16_t, float, bf16_to_f32, f32_to_bf16)
DEFINE(reduce_f16, uint16_t, float, f16_to_f32, f32_to_f16)

static void reduce_task(void *context, int64_t task) {
  const apus_rank_terms *t = context;
  int64_t first = task * TASK, count = apus_min(TASK, t->count - first);
  switch (t->type) {
    case APUS_RANKS_F32: reduce_f32(t, first, count); return;
    case APUS_RANKS_F64: reduce_f64(t, first, count); return;
    case APUS_RANKS_I32: reduce_i32(t, first, count); return;
    case APUS_RANKS_BF16: reduce_bf16(t, first, count); return;
    case APUS_RANKS_F16: reduce_f16(t, first, count); return;
  }
}

void apus_reduce_ranks(const apus_rank_terms *terms) {
  apus_rank_terms copy = *terms;
  apus_for(apus_ceil_div(copy.count, TASK), copy.count, reduce_task, &copy);
}
