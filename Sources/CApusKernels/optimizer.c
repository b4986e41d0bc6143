// AdamW in one pass over parameters and states, and the sum of squares for gradient clipping.
#include "internal.h"

typedef struct {
  float *p, *m, *v;
  const float *gradient;
  int64_t n;
  float decay, beta1, beta2, rest1, rest2, epsilon, step, inverse_correction2, gradient_scale;
} adamw_work;

APUS_CLONES static void adamw(void *context, int64_t block) {
  APUS_FUSED_MATH
  const adamw_work w = *(const adamw_work *)context;
  int64_t first = block * APUS_BLOCK, count = apus_min(w.n - first, APUS_BLOCK);
  float *p = w.p + first, *m = w.m + first, *v = w.v + first;
  const float *gradient = w.gradient + first;
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < count; i++) {
    float g = gradient[i] * w.gradient_scale;
    float mean = w.beta1 * m[i] + w.rest1 * g, square = w.beta2 * v[i] + w.rest2 * (g * g);
    float divisor = __builtin_elementwise_sqrt(square * w.inverse_correction2) + w.epsilon;
    m[i] = mean;
    v[i] = square;
    p[i] = p[i] - w.decay * p[i] - w.step * mean / divisor;
  }
}

void apus_adamw_f32(
    float *p, float *m, float *v, const float *gradient, int64_t n, float learning_rate, float beta1,
    float beta2, float epsilon, float weight_decay, float correction1, float correction2,
    float gradient_scale) {
  adamw_work w = {
      .p = p, .m = m, .v = v, .gradient = gradient, .n = n, .decay = learning_rate * weight_decay,
      .beta1 = beta1, .beta2 = beta2, .rest1 = 1.0f - beta1, .rest2 = 1.0f - beta2, .epsilon = epsilon,
      .step = learning_rate / correction1, .inverse_correction2 = 1.0f / correction2,
      .gradient_scale = gradient_scale};
  apus_for(apus_ceil_div(n, APUS_BLOCK), n, adamw, &w);
}

// Blocks whose sums one round keeps on the stack: 256 * 65,536 elements.
enum { SQUARES_BLOCK = 65536, SQUARES_ROUND = 256 };

typedef struct {
  const float *x;
  int64_t n;
  double sums[SQUARES_ROUND];
} squares_work;

APUS_CLONES static void sum_block(void *context, int64_t block) {
  APUS_FAST_MATH
  squares_work *w = context;
  const float *x = w->x + block * SQUARES_BLOCK;
  int64_t count = apus_min(w->n - block * SQUARES_BLOCK, SQUARES_BLOCK);
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
  w->sums[block] = sum;
}

double apus_sum_of_squares_f32(const float *x, int64_t n) {
  double total = 0;
  while (n > 0) {
    squares_work w = {.x = x, .n = apus_min(n, (int64_t)SQUARES_ROUND * SQUARES_BLOCK)};
    int64_t blocks = apus_ceil_div(w.n, SQUARES_BLOCK);
    apus_for(blocks, w.n, sum_block, &w);
    for (int64_t i = 0; i < blocks; i++) total += w.sums[i];
    x += w.n;
    n -= w.n;
  }
  return total;
}
