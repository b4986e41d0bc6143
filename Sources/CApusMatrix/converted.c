// See converted.h. A product of 1,024 cubed takes 2 GFLOP and moves 12 MB of conversions: within 10 % of the
// float32 product's time, and within the third-level cache.
#include "converted.h"

#include <oneapi/dnnl/dnnl.h>

#include "apus_kernels.h"

// Rows and columns of a block; numbers behind each row, so that a column does not fall into few cache sets.
enum { block_size = 1024, block_padding = 16 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Whether a float32 operand with this many numbers from row to row is read down its columns from few cache
// sets: rows 4 KiB apart always fall into the same set of a first-level cache, rows 2 KiB apart into two.
static int is_crowded(int64_t stride) { return stride % 512 == 0; }

// Whether the rows of an operand are what the product sums over: oneDNN then reads it down its columns.
static int is_summed_over_rows(const apus_product_shape *s, int is_first) {
  return is_first ? s->transpose_a : !s->transpose_b;
}

// Numbers beside which a copy costs little, each used so many times.
enum { least_uses = 64 };

static int spreads(const apus_product_shape *s, int is_first) {
  const int64_t uses = is_first ? s->n : s->m;
  return is_summed_over_rows(s, is_first) && is_crowded(is_first ? s->a_stride : s->b_stride) &&
         uses >= least_uses;
}

// With oneDNN 2.6.3 on two Zen 3 cores, crowded operands halve the speed (75 instead of 149 GFLOP/s for
// 256 x 1024 x 1024, both operands as stored) where its AVX2 GEMM works on the operands in place instead of
// packing them: up to 378 rows or columns of C, or 378 a thread of the longer side. Elsewhere they cost
// nothing. Copied, 129 GFLOP/s are left.
int apus_spreading_helps(const apus_product_shape *s) {
  enum { packed_from = 378 };
  const int64_t shorter = smaller(s->m, s->n), longer = s->m + s->n - shorter;
  const int in_place = shorter < packed_from || longer < (int64_t)packed_from * apus_thread_count();
  return in_place && (spreads(s, 1) || spreads(s, 0));
}

static int64_t element_bytes(apus_element type) { return type == APUS_F32 ? 4 : 2; }

// Where the blocks lie in the scratch, which starts at a cache line; 0 bytes for what needs no copy.
typedef struct {
  int64_t a_bytes, b_bytes, c_bytes;
} converted_scratch;

static int64_t block_bytes(int64_t rows, int64_t columns, int copies) {
  if (!copies) return 0;
  return smaller(rows, block_size) * (smaller(columns, block_size) + block_padding) * (int64_t)sizeof(float);
}

static int copies(const apus_product_shape *s, int is_first) {
  return (is_first ? s->a_type : s->b_type) != APUS_F32 || spreads(s, is_first);
}

static converted_scratch lay_out(const apus_product_shape *s) {
  return (converted_scratch){
      .a_bytes = block_bytes(s->transpose_a ? s->k : s->m, s->transpose_a ? s->m : s->k, copies(s, 1)),
      .b_bytes = block_bytes(s->transpose_b ? s->n : s->k, s->transpose_b ? s->k : s->n, copies(s, 0)),
      .c_bytes = block_bytes(s->m, s->n, s->c_type != APUS_F32)};
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
  int copies;
  float *scratch;
  int64_t held_row, held_column;  // -1: none yet
} operand;

// The block at (row, column) of the stored matrix: in place, or its copy, made unless the scratch holds it.
static float_block block_of(operand *x, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  const char *from = x->stored + (row * x->stride + column) * element_bytes(x->type);
  if (!x->copies) return (float_block){(const float *)(const void *)from, x->stride};
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
  operand left = {a, s->a_stride, s->a_type, copies(s, 1), (float *)(void *)next, -1, -1};
  operand right = {b, s->b_stride, s->b_type, copies(s, 0), (float *)(void *)(next + sizes.a_bytes), -1, -1};
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
        const float_block x =
            s->transpose_a ? block_of(&left, k, m, depth, rows) : block_of(&left, m, k, rows, depth);
        const float_block y =
            s->transpose_b ? block_of(&right, n, k, columns, depth) : block_of(&right, k, n, depth, columns);
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
