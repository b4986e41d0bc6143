// What the attention kernels share: packing, tile sizes, and the 6 x 16 inner product.
//
// All arithmetic is float32 on packed tiles; element types differ only in how tiles are packed and results
// stored (attention_elements.c). A "panel" matrix of R rows and C columns is stored as C/16 panels, each
// R x 16 and contiguous: an inner product streams through one panel in order. Head sizes are padded with
// zeros to a multiple of 16.
#ifndef APUS_ATTENTION_H
#define APUS_ATTENTION_H
#include "internal.h"

// Rows of one inner product, columns of a panel, floats between the rows of a tile of scores beyond its
// width (16 more, so that a column does not fall into few cache sets).
enum { TILE_ROWS = 6, PANEL = 16, SCORE_PADDING = 16 };
// Bytes of packed tensors that a call keeps at a time: heads beyond it are taken in turns.
enum { ATTENTION_PACKED_BYTES = 24 << 20 };

// How one element type is read and written.
typedef struct {
  int64_t bytes;
  // Rows of `size` values times `factor` to panels of `panel_rows` rows; what is missing is zero.
  void (*pack)(
      float *panels, int64_t panel_rows, const void *x, int64_t stride, int64_t rows, int64_t size,
      float factor);
  // Rows of `size` floats, each times its factor (1 where `factors` is null), rounded.
  void (*store)(
      void *out, int64_t stride, const float *x, int64_t x_stride, int64_t rows, int64_t size,
      const float *factors);
  // The sums over one head of a * b, for `rows` rows.
  void (*dot)(
      float *out, const void *a, int64_t a_stride, const void *b, int64_t b_stride, int64_t rows,
      int64_t size);
} apus_attention_element;
const apus_attention_element *apus_attention_element_of(apus_element type);

// A forward pass over queries at positions start ..< start + S of each sequence, keys from position 0.
typedef struct {
  const apus_attention_shape *shape;
  const apus_attention_element *element;
  void *o;
  float *lse;  // may be null
  const void *q, *k, *v;
  int64_t k_stride, v_stride, start;
  void *scratch;
} apus_attention_forward_call;

int64_t apus_attention_forward_scratch_bytes(const apus_attention_shape *shape, int threads);
// Runs all query blocks on the pool. `packs` 0 packs tiles of keys for each query block anew, in scratch
// that does not grow with the number of keys.
void apus_attention_run_forward(const apus_attention_forward_call *call, int packs);

int64_t apus_attention_backward_scratch_bytes(const apus_attention_shape *shape, int threads);
typedef struct {
  const apus_attention_shape *shape;
  const apus_attention_element *element;
  void *dq, *dk, *dv;
  float *dot;
  const void *d_o, *o;
  const float *lse;
  const void *q, *k, *v;
  void *scratch;
} apus_attention_backward_call;
void apus_attention_run_backward(const apus_attention_backward_call *call);

APUS_INLINE float *apus_attention_align(void *scratch) {
  return (float *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
}

// The address of element `index` of a tensor of any type.
APUS_INLINE const void *apus_attention_at(const apus_attention_element *e, const void *x, int64_t index) {
  return (const char *)x + index * e->bytes;
}

// How many of `count` heads of `bytes` packed bytes each are kept at a time.
APUS_INLINE int64_t apus_attention_heads_at_once(int64_t count, int64_t bytes) {
  return apus_max(1, apus_min(count, ATTENTION_PACKED_BYTES / bytes));
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

// c[6][16] = (start value) + sum over k of a[r, k] * panel[k]. a[r, k] is a[r * row + k * step]; with `jump`
// not 0, every 16 values of k are `jump` apart (a panel matrix), and count is a multiple of 16.
// The start value is 0 (factors null, keep 0), c (keep 1), or c[r] * factors[r].
APUS_INLINE void apus_multiply_6x16(
    float *c, int64_t c_stride, const float *a, int64_t row, int64_t step, int64_t jump, const float *panel,
    int64_t count, int keep, const float *factors) {
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
  const int64_t chunk = jump ? PANEL : count;
  for (int64_t first = 0; first < count; first += chunk) {
    const float *x = a;
    for (int64_t k = 0; k < chunk; k++) {
      const apus_v16 b = APUS_LOAD16(panel);
      c0 += x[0] * b;
      c1 += x[row] * b;
      c2 += x[2 * row] * b;
      c3 += x[3 * row] * b;
      c4 += x[4 * row] * b;
      c5 += x[5 * row] * b;
      x += step;
      panel += PANEL;
    }
    a += jump;
  }
  APUS_STORE16(c, c0);
  APUS_STORE16(c + c_stride, c1);
  APUS_STORE16(c + 2 * c_stride, c2);
  APUS_STORE16(c + 3 * c_stride, c3);
  APUS_STORE16(c + 4 * c_stride, c4);
  APUS_STORE16(c + 5 * c_stride, c5);
}

typedef float apus_v4 __attribute__((ext_vector_type(4)));
typedef float apus_v4_unaligned __attribute__((ext_vector_type(4), aligned(4)));
#define APUS_LOAD4(p) (*(const apus_v4_unaligned *)(p))

// The transpose of a panel matrix of `rows` rows (a multiple of 16) and `columns`: a panel matrix of
// `columns` rows.
APUS_INLINE void apus_transpose_panels(float *out, const float *panels, int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; c += 4) {
    for (int64_t r = 0; r < rows; r += 4) {
      const float *from = panels + c / PANEL * PANEL * rows + r * PANEL + c % PANEL;
      float *to = out + r / PANEL * PANEL * columns + c * PANEL + r % PANEL;
      apus_v4 x = APUS_LOAD4(from), y = APUS_LOAD4(from + PANEL);
      apus_v4 z = APUS_LOAD4(from + 2 * PANEL), w = APUS_LOAD4(from + 3 * PANEL);
      apus_v4 xy_low = __builtin_shufflevector(x, y, 0, 4, 1, 5);
      apus_v4 xy_high = __builtin_shufflevector(x, y, 2, 6, 3, 7);
      apus_v4 zw_low = __builtin_shufflevector(z, w, 0, 4, 1, 5);
      apus_v4 zw_high = __builtin_shufflevector(z, w, 2, 6, 3, 7);
      *(apus_v4_unaligned *)to = __builtin_shufflevector(xy_low, zw_low, 0, 1, 4, 5);
      *(apus_v4_unaligned *)(to + PANEL) = __builtin_shufflevector(xy_low, zw_low, 2, 3, 6, 7);
      *(apus_v4_unaligned *)(to + 2 * PANEL) = __builtin_shufflevector(xy_high, zw_high, 0, 1, 4, 5);
      *(apus_v4_unaligned *)(to + 3 * PANEL) = __builtin_shufflevector(xy_high, zw_high, 2, 3, 6, 7);
    }
  }
}
#endif
