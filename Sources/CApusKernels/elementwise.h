// Body of elementwise.c, once an element type. NaN gives NaN.
#define WORK APUS_OF(elementwise_work)
typedef struct {
  APUS_ELEMENT *out;
  const APUS_ELEMENT *a, *b;
  int64_t n, F, rows;
  int accumulate;
} WORK;

static void APUS_OF(run_elements)(apus_task task, WORK *w) {
  apus_for(apus_ceil_div(w->n, APUS_BLOCK), w->n, task, w);
}

// For kernels that see rows: n rows of F.
static void APUS_OF(run_element_rows)(apus_task task, WORK *w) {
  w->rows = apus_max(1, APUS_BLOCK / apus_max(w->F, 1));
  apus_for(apus_ceil_div(w->n, w->rows), w->n * w->F, task, w);
}

#ifndef BLOCK_BOUNDS
// The elements of one task; the rows of one task.
#define BLOCK_BOUNDS(w, block) \
  const int64_t first = (block) * APUS_BLOCK, last = apus_min((w)->n, first + APUS_BLOCK)
#define EACH_ROW(t, w, block) \
  for (int64_t t = (block) * (w)->rows; t < apus_min((w)->n, ((block) + 1) * (w)->rows); t++)
#endif

APUS_CLONES static void APUS_OF(gelu_forward_block)(void *context, int64_t block) {
  const WORK *w = context;
  BLOCK_BOUNDS(w, block);
  APUS_ELEMENT *y = w->out;
  const APUS_ELEMENT *x = w->a;
  APUS_ELEMENTWISE
  for (int64_t i = first; i < last; i++) y[i] = APUS_ROUND(apus_gelu(APUS_WIDEN(x[i])));
}

void APUS_OF(gelu_forward)(APUS_ELEMENT *y, const APUS_ELEMENT *x, int64_t n) {
  WORK w = {.out = y, .a = x, .n = n};
  APUS_OF(run_elements)(APUS_OF(gelu_forward_block), &w);
}

APUS_CLONES static void APUS_OF(gelu_backward_block)(void *context, int64_t block) {
  const WORK *w = context;
  BLOCK_BOUNDS(w, block);
  APUS_ELEMENT *dx = w->out;
  const APUS_ELEMENT *dy = w->a, *x = w->b;
  if (w->accumulate) {
    APUS_ELEMENTWISE
    for (int64_t i = first; i < last; i++) {
      dx[i] = APUS_ROUND(APUS_WIDEN(dx[i]) + APUS_WIDEN(dy[i]) * apus_gelu_slope(APUS_WIDEN(x[i])));
    }
  } else {
    APUS_ELEMENTWISE
    for (int64_t i = first; i < last; i++) {
      dx[i] = APUS_ROUND(APUS_WIDEN(dy[i]) * apus_gelu_slope(APUS_WIDEN(x[i])));
    }
  }
}

void APUS_OF(gelu_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, int64_t n, int accumulate) {
  WORK w = {.out = dx, .a = dy, .b = x, .n = n, .accumulate = accumulate};
  APUS_OF(run_elements)(APUS_OF(gelu_backward_block), &w);
}

APUS_CLONES static void APUS_OF(add_bias_rows)(void *context, int64_t block) {
  const WORK *w = context;
  EACH_ROW(t, w, block) {
    APUS_ELEMENT *out = w->out + t * w->F;
    const APUS_ELEMENT *x = w->a + t * w->F, *bias = w->b;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < w->F; i++) out[i] = APUS_ROUND(APUS_WIDEN(x[i]) + APUS_WIDEN(bias[i]));
  }
}

void APUS_OF(add_bias)(
    APUS_ELEMENT *out, const APUS_ELEMENT *x, const APUS_ELEMENT *bias, int64_t T, int64_t N) {
  WORK w = {.out = out, .a = x, .b = bias, .n = T, .F = N};
  APUS_OF(run_element_rows)(APUS_OF(add_bias_rows), &w);
}

APUS_CLONES static void APUS_OF(bias_gelu_rows)(void *context, int64_t block) {
  const WORK *w = context;
  EACH_ROW(t, w, block) {
    APUS_ELEMENT *y = w->out + t * w->F;
    const APUS_ELEMENT *x = w->a + t * w->F, *bias = w->b;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < w->F; i++) {
      APUS_ELEMENT sum = APUS_ROUND(APUS_WIDEN(x[i]) + APUS_WIDEN(bias[i]));
      y[i] = APUS_ROUND(apus_gelu(APUS_WIDEN(sum)));
    }
  }
}

void APUS_OF(bias_gelu_forward)(
    APUS_ELEMENT *y, const APUS_ELEMENT *x, const APUS_ELEMENT *bias, int64_t T, int64_t N) {
  WORK w = {.out = y, .a = x, .b = bias, .n = T, .F = N};
  APUS_OF(run_element_rows)(APUS_OF(bias_gelu_rows), &w);
}

APUS_CLONES static void APUS_OF(swiglu_forward_rows)(void *context, int64_t block) {
  const WORK *w = context;
  EACH_ROW(t, w, block) {
    APUS_ELEMENT *y = w->out + t * w->F;
    const APUS_ELEMENT *gate = w->a + t * 2 * w->F, *up = gate + w->F;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < w->F; i++) {
      float g = APUS_WIDEN(gate[i]);
      y[i] = APUS_ROUND(g / (1.0f + apus_exp(-g)) * APUS_WIDEN(up[i]));
    }
  }
}

void APUS_OF(swiglu_forward)(APUS_ELEMENT *y, const APUS_ELEMENT *gate_up, int64_t T, int64_t F) {
  WORK w = {.out = y, .a = gate_up, .n = T, .F = F};
  APUS_OF(run_element_rows)(APUS_OF(swiglu_forward_rows), &w);
}

APUS_INLINE void APUS_OF(swiglu_backward_row)(
    APUS_ELEMENT *dgate, APUS_ELEMENT *dup, const APUS_ELEMENT *dy, const APUS_ELEMENT *gate,
    const APUS_ELEMENT *up, int64_t F, int accumulate) {
  APUS_FUSED_MATH
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < F; i++) {
    // 1 - s = e s; below -88, where e would overflow, s is 0 within 1e-38.
    float g = APUS_WIDEN(gate[i]), d = APUS_WIDEN(dy[i]), clamped = g < -88.0f ? -88.0f : g;
    float e = apus_exp(-clamped), s = 1.0f / (1.0f + e);
    float gate_gradient = d * APUS_WIDEN(up[i]) * s * (1.0f + g * (e * s)), up_gradient = d * g * s;
    dgate[i] = APUS_ROUND(accumulate ? APUS_WIDEN(dgate[i]) + gate_gradient : gate_gradient);
    dup[i] = APUS_ROUND(accumulate ? APUS_WIDEN(dup[i]) + up_gradient : up_gradient);
  }
}

APUS_CLONES static void APUS_OF(swiglu_backward_rows)(void *context, int64_t block) {
  const WORK *w = context;
  const int64_t F = w->F;
  EACH_ROW(t, w, block) {
    APUS_ELEMENT *d = w->out + t * 2 * F;
    const APUS_ELEMENT *gate = w->b + t * 2 * F, *dy = w->a + t * F;
    if (w->accumulate) {
      APUS_OF(swiglu_backward_row)(d, d + F, dy, gate, gate + F, F, 1);
    } else {
      APUS_OF(swiglu_backward_row)(d, d + F, dy, gate, gate + F, F, 0);
    }
  }
}

void APUS_OF(swiglu_backward)(
    APUS_ELEMENT *dgate_up, const APUS_ELEMENT *dy, const APUS_ELEMENT *gate_up, int64_t T, int64_t F,
    int accumulate) {
  WORK w = {.out = dgate_up, .a = dy, .b = gate_up, .n = T, .F = F, .accumulate = accumulate};
  APUS_OF(run_element_rows)(APUS_OF(swiglu_backward_rows), &w);
}

APUS_CLONES static void APUS_OF(add_block)(void *context, int64_t block) {
  const WORK *w = context;
  BLOCK_BOUNDS(w, block);
  APUS_ELEMENT *out = w->out;
  const APUS_ELEMENT *a = w->a, *b = w->b;
  APUS_ELEMENTWISE
  for (int64_t i = first; i < last; i++) out[i] = APUS_ROUND(APUS_WIDEN(a[i]) + APUS_WIDEN(b[i]));
}

void APUS_OF(add)(APUS_ELEMENT *out, const APUS_ELEMENT *a, const APUS_ELEMENT *b, int64_t n) {
  WORK w = {.out = out, .a = a, .b = b, .n = n};
  APUS_OF(run_elements)(APUS_OF(add_block), &w);
}
#undef WORK
