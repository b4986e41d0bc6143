// LayerNorm and RMSNorm, forward and backward. A row is one unit of work; its statistics are summed over
// 16 lanes in float32, the variance in a second pass around the mean.
#include "column_sum.h"

typedef struct {
  float *y, *mean, *rstd;
  const float *dy, *x, *w, *b, *saved_mean, *saved_rstd;
  int64_t T, D, rows;
  float epsilon;
  int accumulate;
} norm_work;

static void run_rows(apus_task task, norm_work *n) {
  n->rows = apus_max(1, APUS_BLOCK / apus_max(n->D, 1));
  apus_for(apus_ceil_div(n->T, n->rows), n->T * n->D, task, n);
}

// The rows of one task.
#define FOR_EACH_ROW(t, n, block) \
  for (int64_t t = (block) * (n)->rows; t < apus_min((n)->T, ((block) + 1) * (n)->rows); t++)

APUS_CLONES static void layernorm_forward(void *context, int64_t block) {
  APUS_FAST_MATH
  const norm_work *n = context;
  FOR_EACH_ROW(t, n, block) {
    const float *x = n->x + t * n->D, *w = n->w, *b = n->b;
    float *y = n->y + t * n->D, sum = 0, squares = 0;
    for (int64_t i = 0; i < n->D; i++) sum += x[i];
    float mean = sum / (float)n->D;
    for (int64_t i = 0; i < n->D; i++) squares += (x[i] - mean) * (x[i] - mean);
    float rstd = 1.0f / sqrtf(squares / (float)n->D + n->epsilon);
    n->mean[t] = mean;
    n->rstd[t] = rstd;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < n->D; i++) y[i] = (x[i] - mean) * rstd * w[i] + b[i];
  }
}

void apus_layernorm_forward_f32(
    float *y, float *mean, float *rstd, const float *x, const float *w, const float *b, int64_t T, int64_t D,
    float epsilon) {
  norm_work n = {
      .y = y, .mean = mean, .rstd = rstd, .x = x, .w = w, .b = b, .T = T, .D = D, .epsilon = epsilon};
  run_rows(layernorm_forward, &n);
}

// dx (+)= rstd (g - mean(g) - n mean(g n)) with g = dy w and n = (x - mean) rstd.
APUS_CLONES static void layernorm_backward(void *context, int64_t block) {
  APUS_FAST_MATH
  const norm_work *n = context;
  FOR_EACH_ROW(t, n, block) {
    const float *x = n->x + t * n->D, *dy = n->dy + t * n->D, *w = n->w;
    float *dx = n->y + t * n->D, mean = n->saved_mean[t], rstd = n->saved_rstd[t], sum = 0, dot = 0;
    for (int64_t i = 0; i < n->D; i++) {
      float g = dy[i] * w[i];
      sum += g;
      dot += g * (x[i] - mean);
    }
    float shift = rstd * (sum / (float)n->D), slope = rstd * rstd * rstd * (dot / (float)n->D);
    if (n->accumulate) {
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < n->D; i++) dx[i] += rstd * (dy[i] * w[i]) - shift - (x[i] - mean) * slope;
    } else {
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < n->D; i++) dx[i] = rstd * (dy[i] * w[i]) - shift - (x[i] - mean) * slope;
    }
  }
}

void apus_layernorm_backward_f32(
    float *dx, const float *dy, const float *x, const float *w, const float *mean, const float *rstd,
    int64_t T, int64_t D, int accumulate) {
  norm_work n = {
      .y = dx, .dy = dy, .x = x, .w = w, .saved_mean = mean, .saved_rstd = rstd, .T = T, .D = D,
      .accumulate = accumulate};
  run_rows(layernorm_backward, &n);
}

APUS_CLONES static void rmsnorm_forward(void *context, int64_t block) {
  APUS_FAST_MATH
  const norm_work *n = context;
  FOR_EACH_ROW(t, n, block) {
    const float *x = n->x + t * n->D, *w = n->w;
    float *y = n->y + t * n->D, squares = 0;
    for (int64_t i = 0; i < n->D; i++) squares += x[i] * x[i];
    float rstd = 1.0f / sqrtf(squares / (float)n->D + n->epsilon);
    n->rstd[t] = rstd;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < n->D; i++) y[i] = x[i] * rstd * w[i];
  }
}

void apus_rmsnorm_forward_f32(
    float *y, float *rstd, const float *x, const float *w, int64_t T, int64_t D, float epsilon) {
  norm_work n = {.y = y, .rstd = rstd, .x = x, .w = w, .T = T, .D = D, .epsilon = epsilon};
  run_rows(rmsnorm_forward, &n);
}

// dx (+)= rstd (g - n mean(g n)) with g = dy w and n = x rstd.
APUS_CLONES static void rmsnorm_backward(void *context, int64_t block) {
  APUS_FAST_MATH
  const norm_work *n = context;
  FOR_EACH_ROW(t, n, block) {
    const float *x = n->x + t * n->D, *dy = n->dy + t * n->D, *w = n->w;
    float *dx = n->y + t * n->D, rstd = n->saved_rstd[t], dot = 0;
    for (int64_t i = 0; i < n->D; i++) dot += dy[i] * w[i] * x[i];
    float slope = rstd * rstd * rstd * (dot / (float)n->D);
    if (n->accumulate) {
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < n->D; i++) dx[i] += rstd * (dy[i] * w[i]) - x[i] * slope;
    } else {
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < n->D; i++) dx[i] = rstd * (dy[i] * w[i]) - x[i] * slope;
    }
  }
}

void apus_rmsnorm_backward_f32(
    float *dx, const float *dy, const float *x, const float *w, const float *rstd, int64_t T, int64_t D,
    int accumulate) {
  norm_work n = {
      .y = dx, .dy = dy, .x = x, .w = w, .saved_rstd = rstd, .T = T, .D = D, .accumulate = accumulate};
  run_rows(rmsnorm_backward, &n);
}
