// What the attention kernels share: tile sizes, packing, and the 6 x 16 inner product.
//
// A "panel" matrix of R rows and C columns is stored as C/16 panels, each R x 16 and contiguous: the inner
// product streams through one panel in order. Head sizes are padded with zeros to a multiple of 16.
#ifndef APUS_ATTENTION_H
#define APUS_ATTENTION_H
#include "internal.h"

// Rows of one inner product, columns of a panel, floats between the rows of a tile of scores beyond its
// width (16 more, so that a column does not fall into few cache sets).
enum { TILE_ROWS = 6, PANEL = 16, SCORE_PADDING = 16 };
// Query rows of a forward task and keys of a forward tile; multiples of 6 and 16.
enum { FORWARD_QUERIES = 96, FORWARD_KEYS = 96 };

// A forward pass over queries at positions start ..< start + S of each sequence, keys from position 0.
typedef struct {
  const apus_attention_shape *shape;
  float *o, *lse;  // lse may be null
  const float *q, *k, *v;
  int64_t k_stride, v_stride, start;
  char *scratch;
  int64_t thread_bytes;
} apus_attention_forward_work;

// Bytes of one thread's forward scratch, a multiple of 64.
int64_t apus_attention_forward_thread_bytes(const apus_attention_shape *shape);
// Runs all query blocks on the pool.
void apus_attention_run_forward(const apus_attention_forward_work *work);

// A thread's part of the scratch, aligned to a cache line.
APUS_INLINE float *apus_attention_slot(char *scratch, int64_t thread_bytes) {
  uintptr_t first = ((uintptr_t)scratch + 63) & ~(uintptr_t)63;
  return (float *)(first + (uintptr_t)(apus_thread_slot() * thread_bytes));
}

// 2^x for x <= 127, within 2 units in the last place; 0 below 2^-126; NaN gives NaN.
APUS_INLINE void apus_exp2_16(apus_v16 *value) {
  APUS_FUSED_MATH
  const apus_v16 lowest = -127.0f, magic = 12582912.0f;
  apus_v16 x = *value < lowest ? lowest : *value;
  apus_v16 shifted = x + magic;
  apus_v16 r = x - (shifted - magic);
  apus_v16 p = r * 1.535336188e-4f + 1.339887440e-3f;
  p = p * r + 9.618437357e-3f;
  p = p * r + 5.550332471e-2f;
  p = p * r + 2.402264791e-1f;
  p = p * r + 6.931472028e-1f;
  p = p * r + 1.0f;
  apus_i16 power = ((apus_i16)shifted << 23) + 0x3F800000;
  *value = p * (apus_v16)power;
}

// c[6][16] = (start value) + sum over k of a[r, k] * panel[k]; a[r, k] is a[r * row + k * step].
// The start value is 0 (factors null, keep 0), c (keep 1), or c[r] * factors[r].
APUS_INLINE void apus_multiply_6x16(
    float *c, int64_t c_stride, const float *a, int64_t row, int64_t step, const float *panel, int64_t count,
    int keep, const float *factors) {
  APUS_FUSED_MATH
  apus_v16 c0 = 0, c1 = 0, c2 = 0, c3 = 0, c4 = 0, c5 = 0;
  if (keep || factors) {
    c0 = APUS_LOAD16(c);
    c1 = APUS_LOAD16(c + c_stride);
    c2 = APUS_LOAD16(c + 2 * c_stride);
    c3 = APUS_LOAD16(c + 3 * c_stride);
    c4 = APUS_LOAD16(c + 4 * c_stride);
    c5 = APUS_LOAD16(c + 5 * c_stride);
  }
  if (factors) {
    c0 *= factors[0];
    c1 *= factors[1];
    c2 *= factors[2];
    c3 *= factors[3];
    c4 *= factors[4];
    c5 *= factors[5];
  }
  for (int64_t k = 0; k < count; k++) {
    const apus_v16 b = APUS_LOAD16(panel);
    c0 += a[0] * b;
    c1 += a[row] * b;
    c2 += a[2 * row] * b;
    c3 += a[3 * row] * b;
    c4 += a[4 * row] * b;
    c5 += a[5 * row] * b;
    a += step;
    panel += PANEL;
  }
  APUS_STORE16(c, c0);
  APUS_STORE16(c + c_stride, c1);
  APUS_STORE16(c + 2 * c_stride, c2);
  APUS_STORE16(c + 3 * c_stride, c3);
  APUS_STORE16(c + 4 * c_stride, c4);
  APUS_STORE16(c + 5 * c_stride, c5);
}

// Rows of `size` values times `factor` to padded rows; rows up to `padded_rows` are zero.
APUS_INLINE void apus_pack_rows(
    float *out, int64_t padded, const float *x, int64_t stride, int64_t rows, int64_t padded_rows,
    int64_t size, float factor) {
  for (int64_t r = 0; r < rows; r++) {
    float *to = out + r * padded;
    const float *from = x + r * stride;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < size; i++) to[i] = from[i] * factor;
    for (int64_t i = size; i < padded; i++) to[i] = 0;
  }
  memset(out + rows * padded, 0, (size_t)((padded_rows - rows) * padded) * sizeof(float));
}

// Rows of `size` values to panels of `panel_rows` rows; the columns beyond `size` are zero.
APUS_INLINE void apus_pack_panels(
    float *out, int64_t panel_rows, const float *x, int64_t stride, int64_t rows, int64_t size) {
  for (int64_t first = 0; first < size; first += PANEL) {
    float *panel = out + first * panel_rows;
    const float *from = x + first;
    if (size - first >= PANEL) {
      for (int64_t r = 0; r < rows; r++) APUS_STORE16(panel + r * PANEL, APUS_LOAD16(from + r * stride));
    } else {
      for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < PANEL; i++) {
          panel[r * PANEL + i] = i < size - first ? from[r * stride + i] : 0;
        }
      }
    }
  }
}

typedef float apus_v4 __attribute__((ext_vector_type(4)));
typedef float apus_v4_unaligned __attribute__((ext_vector_type(4), aligned(4)));
#define APUS_LOAD4(p) (*(const apus_v4_unaligned *)(p))

// The transpose of `rows` rows of `size` values, as panels of `size` rows: panel p holds the columns that
// are rows 16p ..< 16p + 16 of x; missing rows are zero.
APUS_INLINE void apus_pack_transposed(
    float *out, const float *x, int64_t stride, int64_t rows, int64_t size) {
  for (int64_t first = 0; first < rows; first += PANEL) {
    float *panel = out + first * size;
    int64_t count = apus_min(PANEL, rows - first), i = 0;
    if (count < PANEL) {
      for (; i < size; i++) {
        for (int64_t r = 0; r < PANEL; r++) {
          panel[i * PANEL + r] = r < count ? x[(first + r) * stride + i] : 0;
        }
      }
      continue;
    }
    for (; i + 4 <= size; i += 4) {
      for (int64_t r = 0; r < PANEL; r += 4) {
        const float *from = x + (first + r) * stride + i;
        apus_v4 a = APUS_LOAD4(from), b = APUS_LOAD4(from + stride);
        apus_v4 c = APUS_LOAD4(from + 2 * stride), d = APUS_LOAD4(from + 3 * stride);
        apus_v4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        apus_v4 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        apus_v4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        apus_v4 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        float *to = panel + i * PANEL + r;
        *(apus_v4_unaligned *)to = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
        *(apus_v4_unaligned *)(to + PANEL) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
        *(apus_v4_unaligned *)(to + 2 * PANEL) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
        *(apus_v4_unaligned *)(to + 3 * PANEL) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
      }
    }
    for (; i < size; i++) {
      for (int64_t r = 0; r < PANEL; r++) panel[i * PANEL + r] = x[(first + r) * stride + i];
    }
  }
}
#endif
