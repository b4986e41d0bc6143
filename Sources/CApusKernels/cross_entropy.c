// Softmax cross-entropy over the vocabulary. One row is one task: its largest logit, then exponentials and
// their sum, then (backward) one scaling; a row stays in the second-level cache between the passes.
#include "internal.h"

typedef struct {
  float *losses, *gradient;
  const float *logits;
  const int32_t *targets;
  int64_t V;
  float scale;
} cross_entropy_work;

APUS_INLINE float largest(const float *x, int64_t n) {
  int64_t i = 0;
  float best = x[0];
  if (n >= 64) {
    apus_v16 a = APUS_LOAD16(x), b = APUS_LOAD16(x + 16), c = APUS_LOAD16(x + 32), d = APUS_LOAD16(x + 48);
    for (i = 64; i + 64 <= n; i += 64) {
      a = APUS_LOAD16(x + i) > a ? APUS_LOAD16(x + i) : a;
      b = APUS_LOAD16(x + i + 16) > b ? APUS_LOAD16(x + i + 16) : b;
      c = APUS_LOAD16(x + i + 32) > c ? APUS_LOAD16(x + i + 32) : c;
      d = APUS_LOAD16(x + i + 48) > d ? APUS_LOAD16(x + i + 48) : d;
    }
    a = b > a ? b : a;
    c = d > c ? d : c;
    a = c > a ? c : a;
    best = APUS_MAX16(a);
  }
  for (; i < n; i++) best = x[i] > best ? x[i] : best;
  return best;
}

// A NaN among the logits may be passed over by the maximum but not by the sum, so the loss is NaN.
APUS_CLONES static void forward_row(void *context, int64_t t) {
  APUS_FAST_MATH
  const cross_entropy_work *w = context;
  const float *x = w->logits + t * w->V;
  if (w->targets[t] < 0) {
    w->losses[t] = 0;
    return;
  }
  float maximum = largest(x, w->V), sum = 0;
  for (int64_t i = 0; i < w->V; i++) sum += apus_exp(x[i] - maximum);
  w->losses[t] = logf(sum) - (x[w->targets[t]] - maximum);
}

void apus_cross_entropy_forward_f32(
    float *losses, const float *logits, const int32_t *targets, int64_t T, int64_t V) {
  cross_entropy_work w = {.losses = losses, .logits = logits, .targets = targets, .V = V};
  apus_for(T, T * V, forward_row, &w);
}

APUS_CLONES static void backward_row(void *context, int64_t t) {
  APUS_FAST_MATH
  const cross_entropy_work *w = context;
  float *x = w->gradient + t * w->V;
  int32_t target = w->targets[t];
  if (target < 0) {
    w->losses[t] = 0;
    memset(x, 0, (size_t)w->V * sizeof(float));
    return;
  }
  float maximum = largest(x, w->V), sum = 0, above = x[target] - maximum;
  for (int64_t i = 0; i < w->V; i++) {
    float e = apus_exp(x[i] - maximum);
    x[i] = e;
    sum += e;
  }
  w->losses[t] = logf(sum) - above;
  float factor = w->scale / sum;
  for (int64_t i = 0; i < w->V; i++) x[i] *= factor;
  x[target] -= w->scale;
}

void apus_cross_entropy_backward_f32(
    float *losses, float *logits, const int32_t *targets, int64_t T, int64_t V, float scale) {
  cross_entropy_work w = {.losses = losses, .gradient = logits, .targets = targets, .V = V, .scale = scale};
  apus_for(T, T * V, backward_row, &w);
}
