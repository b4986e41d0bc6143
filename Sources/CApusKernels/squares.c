// The sum of squares for gradient clipping, for every element type, in double precision: a tensor is cut into
// blocks of 65,536 elements and these into chunks, and every sum is taken in a fixed order.
#include "element.h"

// Blocks whose sums one round keeps on the stack: 256 * 65,536 elements. A chunk stays in the first-level
// cache.
enum { APUS_SQUARES_BLOCK = 65536, APUS_SQUARES_ROUND = 256, APUS_SQUARES_CHUNK = 2048 };

typedef float apus_v8_unaligned __attribute__((ext_vector_type(8), aligned(4)));
typedef double apus_d8 __attribute__((ext_vector_type(8)));

// The sum of squares of up to a chunk of floats.
APUS_INLINE double apus_squares_of_chunk(const float *x, int64_t count) {
  APUS_FUSED_MATH
  apus_d8 a = 0, b = 0;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    apus_d8 x0 = __builtin_convertvector(*(const apus_v8_unaligned *)(x + i), apus_d8);
    apus_d8 x1 = __builtin_convertvector(*(const apus_v8_unaligned *)(x + i + 8), apus_d8);
    a += x0 * x0;
    b += x1 * x1;
  }
  a += b;
  double sum = ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
  for (; i < count; i++) sum += (double)x[i] * (double)x[i];
  return sum;
}

// Runs `task` on every block of one round and adds up what it left in `sums`.
APUS_INLINE double apus_squares_of_round(int64_t n, const double *sums, apus_task task, void *context) {
  int64_t blocks = apus_ceil_div(n, APUS_SQUARES_BLOCK);
  double total = 0;
  apus_for(blocks, n, task, context);
  for (int64_t i = 0; i < blocks; i++) total += sums[i];
  return total;
}

#define APUS_BODY "../squares.h"
#include "apus_each_element.h"
