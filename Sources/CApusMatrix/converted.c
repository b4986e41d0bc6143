// See converted.h. A product of 1,024 cubed takes 2 GFLOP and moves 12 MB of conversions: within 10 % of the
// float32 product's time, and within the third-level cache.
#include "converted.h"

#include <oneapi/dnnl/dnnl.h>

#include "apus_kernels.h"

// Rows and columns of a block; numbers behind each row, so that a column does not fall into few cache sets.
enum { block_size = 1024, block_padding = 16 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t element_bytes(apus_element type) { return type == APUS_F32 ? 4 : 2; }

// Where the blocks lie in the scratch, which starts at a cache line; 0 bytes for what needs no conversion.
typedef struct {
  int64_t a_bytes, b_bytes, c_bytes;
} converted_scratch;

static int64_t block_bytes(int64_t rows, int64_t columns, apus_element type) {
  if (type == APUS_F32) return 0;
  return smaller(rows, block_size) * (smaller(columns, block_size) + block_padding) * (int64_t)sizeof(float);
}

static converted_scratch lay_out(const apus_product_shape *s) {
  return (converted_scratch){
      .a_bytes = s->transpose_a ? block_bytes(s->k, s->m, s->a_type) : block_bytes(s->m, s->k, s->a_type),
      .b_bytes = s->transpose_b ? block_bytes(s->n, s->k, s->b_type) : block_bytes(s->k, s->n, s->b_type),
      .c_bytes = block_bytes(s->m, s->n, s->c_type)};
}

int64_t apus_converted_scratch_bytes(const apus_product_shape *shape) {
  const converted_scratch sizes = lay_out(shape);
  return 64 + sizes.a_bytes + sizes.b_bytes + sizes.c_bytes;
}

// A float32 view of one block of an operand.
typedef struct {
  const float *numbers;
  int64_t stride;
} float_block;

// An operand as stored, and the block of it that its part of the scratch holds.
typedef struct {
  const char *stored;
  int64_t stride;
  apus_element type;
  float *scratch;
  int64_t held_row, held_column;  // -1: none yet
} operand;

// The block at (row, column) of the stored matrix; widened unless it is float32 or already in the scratch.
static float_block widen(operand *x, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  const char *from = x->stored + (row * x->stride + column) * element_bytes(x->type);
  if (x->type == APUS_F32) return (float_block){(const float *)(const void *)from, x->stride};
  const int64_t stride = columns + block_padding;
  if (x->held_row != row || x->held_column != column) {
    apus_widen_rows(x->scratch, stride, from, x->stride, x->type, rows, columns);
    x->held_row = row;
    x->held_column = column;
  }
  return (float_block){x->scratch, stride};
}

int apus_converted_run(
    const apus_product_shape *s, const void *a, const void *b, void *c, const void *bias, void *scratch) {
  const converted_scratch sizes = lay_out(s);
  char *next = (char *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
  operand left = {a, s->a_stride, s->a_type, (float *)(void *)next, -1, -1};
  operand right = {b, s->b_stride, s->b_type, (float *)(void *)(next + sizes.a_bytes), -1, -1};
  float *sums = (float *)(void *)(next + sizes.a_bytes + sizes.b_bytes);
  const char *bias_bytes = bias;

  for (int64_t m = 0; m < s->m; m += block_size) {
    const int64_t rows = smaller(s->m - m, block_size);
    for (int64_t n = 0; n < s->n; n += block_size) {
      const int64_t columns = smaller(s->n - n, block_size);
      char *to = (char *)c + (m * s->c_stride + n) * element_bytes(s->c_type);
      const int direct = s->c_type == APUS_F32;
      float *out = direct ? (float *)(void *)to : sums;
      const int64_t out_stride = direct ? s->c_stride : columns + block_padding;
      for (int64_t k = 0; k < s->k; k += block_size) {
        const int64_t depth = smaller(s->k - k, block_size);
        const float_block x = s->transpose_a ? widen(&left, k, m, depth, rows) : widen(&left, m, k, rows, depth);
        const float_block y =
            s->transpose_b ? widen(&right, n, k, columns, depth) : widen(&right, k, n, depth, columns);
        const float keep = k > 0 || (direct && s->accumulate) ? 1.0f : 0.0f;
        const dnnl_status_t status = dnnl_sgemm(
            s->transpose_a ? 'T' : 'N', s->transpose_b ? 'T' : 'N', rows, columns, depth, 1.0f, x.numbers,
            x.stride, y.numbers, y.stride, keep, out, out_stride);
        if (status != dnnl_success) return status;
      }
      const void *row_bias = s->has_bias ? bias_bytes + n * element_bytes(s->bias_type) : NULL;
      if (!direct || s->has_bias) {
        apus_round_rows(
            to, s->c_stride, s->c_type, out, out_stride, row_bias, s->bias_type, rows, columns,
            !direct && s->accumulate);
      }
    }
  }
  return dnnl_success;
}
