// Body of norm.c, once an element type. A row is one unit of work; its statistics are summed over the lanes
// of a vector in float32, the variance in a second pass around the mean.
#define WORK APUS_OF(norm_work)
typedef struct {
  APUS_ELEMENT *y, *sum;
  float *mean, *rstd;
  const APUS_ELEMENT *dy, *x, *a, *c, *w, *b, *passed;
  const float *saved_mean, *saved_rstd;
  int64_t T, D, rows;
  float epsilon;
} WORK;

static void APUS_OF(run_norm_rows)(apus_task task, WORK *n) {
  n->rows = apus_max(1, APUS_BLOCK / apus_max(n->D, 1));
  apus_for(apus_ceil_div(n->T, n->rows), n->T * n->D, task, n);
}

APUS_INLINE void APUS_OF(add_row)(APUS_ELEMENT *sum, const APUS_ELEMENT *a, const APUS_ELEMENT *c, int64_t D) {
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < D; i++) sum[i] = APUS_ROUND(APUS_WIDEN(a[i]) + APUS_WIDEN(c[i]));
}

APUS_INLINE void APUS_OF(layernorm_row)(const WORK *n, const APUS_ELEMENT *x, int64_t t) {
  APUS_FAST_MATH
  const APUS_ELEMENT *w = n->w, *b = n->b;
  const int64_t D = n->D;
  APUS_ELEMENT *y = n->y + t * D;
  float sum = 0, squares = 0;
  for (int64_t i = 0; i < D; i++) sum += APUS_WIDEN(x[i]);
  const float mean = sum / (float)D;
  for (int64_t i = 0; i < D; i++) squares += (APUS_WIDEN(x[i]) - mean) * (APUS_WIDEN(x[i]) - mean);
  const float rstd = 1.0f / sqrtf(squares / (float)D + n->epsilon);
  n->mean[t] = mean;
  n->rstd[t] = rstd;
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < D; i++) {
    y[i] = APUS_ROUND((APUS_WIDEN(x[i]) - mean) * rstd * APUS_WIDEN(w[i]) + APUS_WIDEN(b[i]));
  }
}

APUS_CLONES static void APUS_OF(layernorm_rows)(void *context, int64_t block) {
  const WORK *n = context;
  FOR_EACH_ROW(t, n, block) APUS_OF(layernorm_row)(n, n->x + t * n->D, t);
}

void APUS_OF(layernorm_forward)(
    APUS_ELEMENT *y, float *mean, float *rstd, const APUS_ELEMENT *x, const APUS_ELEMENT *w,
    const APUS_ELEMENT *b, int64_t T, int64_t D, float epsilon) {
  WORK n = {.y = y, .mean = mean, .rstd = rstd, .x = x, .w = w, .b = b, .T = T, .D = D, .epsilon = epsilon};
  APUS_OF(run_norm_rows)(APUS_OF(layernorm_rows), &n);
}

APUS_CLONES static void APUS_OF(add_layernorm_rows)(void *context, int64_t block) {
  const WORK *n = context;
  FOR_EACH_ROW(t, n, block) {
    APUS_OF(add_row)(n->sum + t * n->D, n->a + t * n->D, n->c + t * n->D, n->D);
    APUS_OF(layernorm_row)(n, n->sum + t * n->D, t);
  }
}

void APUS_OF(add_layernorm_forward)(
    APUS_ELEMENT *sum, APUS_ELEMENT *y, float *mean, float *rstd, const APUS_ELEMENT *a,
    const APUS_ELEMENT *c, const APUS_ELEMENT *w, const APUS_ELEMENT *b, int64_t T, int64_t D,
    float epsilon) {
  WORK n = {
      .sum = sum, .y = y, .mean = mean, .rstd = rstd, .a = a, .c = c, .w = w, .b = b, .T = T, .D = D,
      .epsilon = epsilon};
  APUS_OF(run_norm_rows)(APUS_OF(add_layernorm_rows), &n);
}

// dx = passed + rstd (g - mean(g) - n mean(g n)) with g = dy w and n = (x - mean) rstd; passed may be null.
APUS_CLONES static void APUS_OF(layernorm_backward_rows)(void *context, int64_t block) {
  APUS_FAST_MATH
  const WORK *n = context;
  const int64_t D = n->D;
  FOR_EACH_ROW(t, n, block) {
    const APUS_ELEMENT *x = n->x + t * D, *dy = n->dy + t * D, *w = n->w;
    APUS_ELEMENT *dx = n->y + t * D;
    const float mean = n->saved_mean[t], rstd = n->saved_rstd[t];
    float sum = 0, dot = 0;
    for (int64_t i = 0; i < D; i++) {
      float g = APUS_WIDEN(dy[i]) * APUS_WIDEN(w[i]);
      sum += g;
      dot += g * (APUS_WIDEN(x[i]) - mean);
    }
    const float shift = rstd * (sum / (float)D), slope = rstd * rstd * rstd * (dot / (float)D);
    if (n->passed) {
      const APUS_ELEMENT *passed = n->passed + t * D;
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < D; i++) {
        float own = rstd * (APUS_WIDEN(dy[i]) * APUS_WIDEN(w[i])) - shift - (APUS_WIDEN(x[i]) - mean) * slope;
        dx[i] = APUS_ROUND(APUS_WIDEN(passed[i]) + own);
      }
    } else {
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < D; i++) {
        float own = rstd * (APUS_WIDEN(dy[i]) * APUS_WIDEN(w[i])) - shift - (APUS_WIDEN(x[i]) - mean) * slope;
        dx[i] = APUS_ROUND(own);
      }
    }
  }
}

void APUS_OF(layernorm_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, const APUS_ELEMENT *w, const float *mean,
    const float *rstd, int64_t T, int64_t D, int accumulate) {
  WORK n = {
      .y = dx, .dy = dy, .x = x, .w = w, .saved_mean = mean, .saved_rstd = rstd, .T = T, .D = D,
      .passed = accumulate ? dx : NULL};
  APUS_OF(run_norm_rows)(APUS_OF(layernorm_backward_rows), &n);
}

void APUS_OF(add_layernorm_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *passed, const APUS_ELEMENT *dy, const APUS_ELEMENT *x,
    const APUS_ELEMENT *w, const float *mean, const float *rstd, int64_t T, int64_t D) {
  WORK n = {
      .y = dx, .dy = dy, .x = x, .w = w, .saved_mean = mean, .saved_rstd = rstd, .T = T, .D = D,
      .passed = passed};
  APUS_OF(run_norm_rows)(APUS_OF(layernorm_backward_rows), &n);
}

APUS_INLINE void APUS_OF(rmsnorm_row)(const WORK *n, const APUS_ELEMENT *x, int64_t t) {
  APUS_FAST_MATH
  const APUS_ELEMENT *w = n->w;
  const int64_t D = n->D;
  APUS_ELEMENT *y = n->y + t * D;
  float squares = 0;
  for (int64_t i = 0; i < D; i++) squares += APUS_WIDEN(x[i]) * APUS_WIDEN(x[i]);
  const float rstd = 1.0f / sqrtf(squares / (float)D + n->epsilon);
  n->rstd[t] = rstd;
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < D; i++) y[i] = APUS_ROUND(APUS_WIDEN(x[i]) * rstd * APUS_WIDEN(w[i]));
}

APUS_CLONES static void APUS_OF(rmsnorm_rows)(void *context, int64_t block) {
  const WORK *n = context;
  FOR_EACH_ROW(t, n, block) APUS_OF(rmsnorm_row)(n, n->x + t * n->D, t);
}

void APUS_OF(rmsnorm_forward)(
    APUS_ELEMENT *y, float *rstd, const APUS_ELEMENT *x, const APUS_ELEMENT *w, int64_t T, int64_t D,
    float epsilon) {
  WORK n = {.y = y, .rstd = rstd, .x = x, .w = w, .T = T, .D = D, .epsilon = epsilon};
  APUS_OF(run_norm_rows)(APUS_OF(rmsnorm_rows), &n);
}

APUS_CLONES static void APUS_OF(add_rmsnorm_rows)(void *context, int64_t block) {
  const WORK *n = context;
  FOR_EACH_ROW(t, n, block) {
    APUS_OF(add_row)(n->sum + t * n->D, n->a + t * n->D, n->c + t * n->D, n->D);
    APUS_OF(rmsnorm_row)(n, n->sum + t * n->D, t);
  }
}

void APUS_OF(add_rmsnorm_forward)(
    APUS_ELEMENT *sum, APUS_ELEMENT *y, float *rstd, const APUS_ELEMENT *a, const APUS_ELEMENT *c,
    const APUS_ELEMENT *w, int64_t T, int64_t D, float epsilon) {
  WORK n = {
      .sum = sum, .y = y, .rstd = rstd, .a = a, .c = c, .w = w, .T = T, .D = D, .epsilon = epsilon};
  APUS_OF(run_norm_rows)(APUS_OF(add_rmsnorm_rows), &n);
}

// dx = passed + rstd (g - n mean(g n)) with g = dy w and n = x rstd; passed may be null.
APUS_CLONES static void APUS_OF(rmsnorm_backward_rows)(void *context, int64_t block) {
  APUS_FAST_MATH
  const WORK *n = context;
  const int64_t D = n->D;
  FOR_EACH_ROW(t, n, block) {
    const APUS_ELEMENT *x = n->x + t * D, *dy = n->dy + t * D, *w = n->w;
    APUS_ELEMENT *dx = n->y + t * D;
    const float rstd = n->saved_rstd[t];
    float dot = 0;
    for (int64_t i = 0; i < D; i++) dot += APUS_WIDEN(dy[i]) * APUS_WIDEN(w[i]) * APUS_WIDEN(x[i]);
    const float slope = rstd * rstd * rstd * (dot / (float)D);
    if (n->passed) {
      const APUS_ELEMENT *passed = n->passed + t * D;
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < D; i++) {
        float own = rstd * (APUS_WIDEN(dy[i]) * APUS_WIDEN(w[i])) - APUS_WIDEN(x[i]) * slope;
        dx[i] = APUS_ROUND(APUS_WIDEN(passed[i]) + own);
      }
    } else {
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < D; i++) {
        float own = rstd * (APUS_WIDEN(dy[i]) * APUS_WIDEN(w[i])) - APUS_WIDEN(x[i]) * slope;
        dx[i] = APUS_ROUND(own);
      }
    }
  }
}

void APUS_OF(rmsnorm_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, const APUS_ELEMENT *w, const float *rstd,
    int64_t T, int64_t D, int accumulate) {
  WORK n = {
      .y = dx, .dy = dy, .x = x, .w = w, .saved_rstd = rstd, .T = T, .D = D, .passed = accumulate ? dx : NULL};
  APUS_OF(run_norm_rows)(APUS_OF(rmsnorm_backward_rows), &n);
}

void APUS_OF(add_rmsnorm_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *passed, const APUS_ELEMENT *dy, const APUS_ELEMENT *x,
    const APUS_ELEMENT *w, const float *rstd, int64_t T, int64_t D) {
  WORK n = {.y = dx, .dy = dy, .x = x, .w = w, .saved_rstd = rstd, .T = T, .D = D, .passed = passed};
  APUS_OF(run_norm_rows)(APUS_OF(rmsnorm_backward_rows), &n);
}
#undef WORK
