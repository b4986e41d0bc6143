// AdamW in one pass over parameters and states, with float32 weights or with master weights and 16-bit ones.
#include "element.h"

// Elements that are updated before the next are read: their widened gradient stays in the first-level cache.
enum { ADAMW_CHUNK = 1024 };

typedef struct {
  void *weights;  // the rounded weights, or null
  float *p, *m, *v;
  const void *gradient;
  apus_element gradient_type;
  int64_t n;
  float decay, beta1, beta2, rest1, rest2, epsilon, step, inverse_correction2, gradient_scale;
} adamw_work;

APUS_INLINE void update(
    const adamw_work *work, float *p, float *m, float *v, const float *gradient, int64_t count) {
  APUS_FUSED_MATH
  const adamw_work w = *work;
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

#define APUS_BODY "../optimizer.h"
#include "apus_each_element.h"

void apus_adamw(
    void *weights, apus_element weights_type, float *p, float *m, float *v, const void *gradient,
    apus_element gradient_type, int64_t n, float learning_rate, float beta1, float beta2, float epsilon,
    float weight_decay, float correction1, float correction2, float gradient_scale) {
  adamw_work w = {
      .weights = weights, .p = p, .m = m, .v = v, .gradient = gradient, .gradient_type = gradient_type, .n = n,
      .decay = learning_rate * weight_decay, .beta1 = beta1, .beta2 = beta2, .rest1 = 1.0f - beta1,
      .rest2 = 1.0f - beta2, .epsilon = epsilon, .step = learning_rate / correction1,
      .inverse_correction2 = 1.0f / correction2, .gradient_scale = gradient_scale};
  const apus_task tasks[] = {apus_adamw_block_f32, apus_adamw_block_bf16, apus_adamw_block_f16};
  apus_for(apus_ceil_div(n, APUS_BLOCK), n, tasks[weights_type], &w);
}
