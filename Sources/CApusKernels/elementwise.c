// GELU, SwiGLU, sums. Within 4 units in the last place of the largest intermediate; NaN gives NaN.
#include "internal.h"

typedef struct {
  float *out;
  const float *a, *b;
  int64_t n, F, rows;
  int accumulate;
} elementwise_work;

static void run(apus_task task, elementwise_work *w) {
  apus_for(apus_ceil_div(w->n, APUS_BLOCK), w->n, task, w);
}

// The elements of one task.
#define BLOCK_BOUNDS(w, block) \
  const int64_t first = (block) * APUS_BLOCK, last = apus_min((w)->n, first + APUS_BLOCK)

// 0.5 (1 + tanh(u)) is the sigmoid of 2u; this is 2u, with 2 sqrt(2/pi) multiplied in.
APUS_INLINE float gelu_argument(float x) {
  APUS_FUSED_MATH
  return x * (1.5957691216f + 0.0713548163f * (x * x));
}

APUS_CLONES static void gelu_forward(void *context, int64_t block) {
  const elementwise_work *w = context;
  BLOCK_BOUNDS(w, block);
  float *y = w->out;
  const float *x = w->a;
  APUS_ELEMENTWISE
  for (int64_t i = first; i < last; i++) y[i] = x[i] / (1.0f + apus_exp(-gelu_argument(x[i])));
}

void apus_gelu_forward_f32(float *y, const float *x, int64_t n) {
  elementwise_work w = {.out = y, .a = x, .n = n};
  run(gelu_forward, &w);
}

// s + x s (1 - s) (2u)', with s the sigmoid of 2u and 1 - s = exp(-2u) s, which cancels no digits. Beyond
// +-10 the slope is 1 or 0 within 1e-35; the clamp keeps the exponential finite.
APUS_INLINE float gelu_slope(float x) {
  APUS_FUSED_MATH
  float c = x > 10.0f ? 10.0f : x;
  c = c < -10.0f ? -10.0f : c;
  float e = apus_exp(-gelu_argument(c)), s = 1.0f / (1.0f + e);
  return s + (c * s) * (e * s) * (1.5957691216f + 0.2140644488f * (c * c));
}

APUS_CLONES static void gelu_backward(void *context, int64_t block) {
  const elementwise_work *w = context;
  BLOCK_BOUNDS(w, block);
  float *dx = w->out;
  const float *dy = w->a, *x = w->b;
  if (w->accumulate) {
    APUS_ELEMENTWISE
    for (int64_t i = first; i < last; i++) dx[i] += dy[i] * gelu_slope(x[i]);
  } else {
    APUS_ELEMENTWISE
    for (int64_t i = first; i < last; i++) dx[i] = dy[i] * gelu_slope(x[i]);
  }
}

void apus_gelu_backward_f32(float *dx, const float *dy, const float *x, int64_t n, int accumulate) {
  elementwise_work w = {.out = dx, .a = dy, .b = x, .n = n, .accumulate = accumulate};
  run(gelu_backward, &w);
}

APUS_CLONES static void swiglu_forward(void *context, int64_t block) {
  const elementwise_work *w = context;
  for (int64_t t = block * w->rows; t < apus_min(w->n, (block + 1) * w->rows); t++) {
    float *y = w->out + t * w->F;
    const float *gate = w->a + t * 2 * w->F, *up = gate + w->F;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < w->F; i++) y[i] = gate[i] / (1.0f + apus_exp(-gate[i])) * up[i];
  }
}

static void run_rows(apus_task task, elementwise_work *w) {
  w->rows = apus_max(1, APUS_BLOCK / apus_max(w->F, 1));
  apus_for(apus_ceil_div(w->n, w->rows), w->n * w->F, task, w);
}

void apus_swiglu_forward_f32(float *y, const float *gate_up, int64_t T, int64_t F) {
  elementwise_work w = {.out = y, .a = gate_up, .n = T, .F = F};
  run_rows(swiglu_forward, &w);
}

APUS_INLINE void swiglu_backward_row(
    float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t F,
    int accumulate) {
  APUS_FUSED_MATH
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < F; i++) {
    // 1 - s = e s; below -88, where e would overflow, s is 0 within 1e-38.
    float g = gate[i], clamped = g < -88.0f ? -88.0f : g;
    float e = apus_exp(-clamped), s = 1.0f / (1.0f + e);
    float gate_gradient = dy[i] * up[i] * s * (1.0f + g * (e * s)), up_gradient = dy[i] * g * s;
    dgate[i] = accumulate ? dgate[i] + gate_gradient : gate_gradient;
    dup[i] = accumulate ? dup[i] + up_gradient : up_gradient;
  }
}

APUS_CLONES static void swiglu_backward(void *context, int64_t block) {
  const elementwise_work *w = context;
  int64_t F = w->F;
  for (int64_t t = block * w->rows; t < apus_min(w->n, (block + 1) * w->rows); t++) {
    float *d = w->out + t * 2 * F;
    const float *gate = w->b + t * 2 * F, *dy = w->a + t * F;
    if (w->accumulate) {
      swiglu_backward_row(d, d + F, dy, gate, gate + F, F, 1);
    } else {
      swiglu_backward_row(d, d + F, dy, gate, gate + F, F, 0);
    }
  }
}

void apus_swiglu_backward_f32(
    float *dgate_up, const float *dy, const float *gate_up, int64_t T, int64_t F, int accumulate) {
  elementwise_work w = {.out = dgate_up, .a = dy, .b = gate_up, .n = T, .F = F, .accumulate = accumulate};
  run_rows(swiglu_backward, &w);
}

APUS_CLONES static void add(void *context, int64_t block) {
  const elementwise_work *w = context;
  BLOCK_BOUNDS(w, block);
  float *out = w->out;
  const float *a = w->a, *b = w->b;
  APUS_ELEMENTWISE
  for (int64_t i = first; i < last; i++) out[i] = a[i] + b[i];
}

void apus_add_f32(float *out, const float *a, const float *b, int64_t n) {
  elementwise_work w = {.out = out, .a = a, .b = b, .n = n};
  run(add, &w);
}

static void copy(void *context, int64_t block) {
  const elementwise_work *w = context;
  BLOCK_BOUNDS(w, block);
  memmove(w->out + first, w->a + first, (size_t)(last - first) * sizeof(float));
}

void apus_copy_f32(float *out, const float *a, int64_t n, int accumulate) {
  elementwise_work w = {.out = out, .a = out, .b = a, .n = n};
  if (accumulate) {
    run(add, &w);
  } else {
    w.a = a;
    run(copy, &w);
  }
}
