// Body of column_sum.c, once a pair of element types.
#define TERMS APUS_OF_PAIR(column_terms)
#define WORK APUS_OF_PAIR(column_work)

// The terms of one column sum: a, a * x * rstd, or a * (x - mean) * rstd, by which pointers are given.
typedef struct {
  const APUS_ELEMENT *a, *x;
  const float *mean, *rstd;
  int64_t T, stride;
} TERMS;

// Adds rows t0 ..< t1 of a full block of columns to `total`. The flags are constants where this is inlined.
APUS_INLINE void APUS_OF_PAIR(sum_block)(
    float *total, const TERMS *terms, int64_t first, int64_t t0, int64_t t1, int normalised, int centred) {
  APUS_FUSED_MATH
  apus_v16 s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int64_t t = t0; t < t1; t++) {
    const APUS_ELEMENT *a = terms->a + t * terms->stride + first;
    if (!normalised) {
      s0 += APUS_LOAD(a);
      s1 += APUS_LOAD(a + 16);
      s2 += APUS_LOAD(a + 32);
      s3 += APUS_LOAD(a + 48);
      continue;
    }
    const APUS_ELEMENT *x = terms->x + t * terms->stride + first;
    float rstd = terms->rstd[t], shift = centred ? terms->mean[t] * rstd : 0.0f;
    s0 += APUS_LOAD(a) * (APUS_LOAD(x) * rstd - shift);
    s1 += APUS_LOAD(a + 16) * (APUS_LOAD(x + 16) * rstd - shift);
    s2 += APUS_LOAD(a + 32) * (APUS_LOAD(x + 32) * rstd - shift);
    s3 += APUS_LOAD(a + 48) * (APUS_LOAD(x + 48) * rstd - shift);
  }
  APUS_STORE16(total, APUS_LOAD16(total) + s0);
  APUS_STORE16(total + 16, APUS_LOAD16(total + 16) + s1);
  APUS_STORE16(total + 32, APUS_LOAD16(total + 32) + s2);
  APUS_STORE16(total + 48, APUS_LOAD16(total + 48) + s3);
}

// The same for the last, narrower block.
APUS_INLINE void APUS_OF_PAIR(sum_narrow_block)(
    float *total, const TERMS *terms, int64_t first, int64_t count, int64_t t0, int64_t t1, int normalised,
    int centred) {
  APUS_FUSED_MATH
  float partial[APUS_SUM_COLUMNS] = {0};
  for (int64_t t = t0; t < t1; t++) {
    const APUS_ELEMENT *a = terms->a + t * terms->stride + first;
    const APUS_ELEMENT *x = normalised ? terms->x + t * terms->stride + first : a;
    float rstd = normalised ? terms->rstd[t] : 1.0f, shift = centred ? terms->mean[t] * rstd : 0.0f;
    for (int64_t i = 0; i < count; i++) {
      float term = APUS_WIDEN(a[i]);
      partial[i] += normalised ? term * (APUS_WIDEN(x[i]) * rstd - shift) : term;
    }
  }
  for (int64_t i = 0; i < count; i++) total[i] += partial[i];
}

APUS_INLINE void APUS_OF_PAIR(store_total)(APUS_OUTPUT *out, const float *total, int64_t count, int accumulate) {
  for (int64_t i = 0; i < count; i++) {
    out[i] = APUS_ROUND_OUTPUT(accumulate ? APUS_WIDEN_OUTPUT(out[i]) + total[i] : total[i]);
  }
}

// out (+)= the sums of columns first ..< first + count.
APUS_INLINE void APUS_OF_PAIR(sum_columns)(
    APUS_OUTPUT *out, const TERMS *terms, int64_t first, int64_t count, int accumulate, int normalised,
    int centred) {
  float total[APUS_SUM_COLUMNS] = {0};
  for (int64_t t0 = 0; t0 < terms->T; t0 += APUS_SUM_ROWS) {
    int64_t t1 = apus_min(terms->T, t0 + APUS_SUM_ROWS);
    if (count == APUS_SUM_COLUMNS) {
      APUS_OF_PAIR(sum_block)(total, terms, first, t0, t1, normalised, centred);
    } else {
      APUS_OF_PAIR(sum_narrow_block)(total, terms, first, count, t0, t1, normalised, centred);
    }
  }
  APUS_OF_PAIR(store_total)(out + first, total, count, accumulate);
}

typedef struct {
  APUS_OUTPUT *out, *db;
  APUS_ELEMENT *dx;
  const APUS_ELEMENT *bias;
  TERMS terms;
  int64_t N;
  int accumulate, accumulate_b;
} WORK;

APUS_CLONES static void APUS_OF_PAIR(plain_columns)(void *context, int64_t block) {
  const WORK *w = context;
  int64_t first = block * APUS_SUM_COLUMNS, count = apus_min(w->N - first, APUS_SUM_COLUMNS);
  APUS_OF_PAIR(sum_columns)(w->out, &w->terms, first, count, w->accumulate, 0, 0);
}

void APUS_OF_PAIR(column_sum)(
    APUS_OUTPUT *out, const APUS_ELEMENT *x, int64_t T, int64_t N, int64_t stride, int accumulate) {
  WORK w = {.out = out, .terms = {.a = x, .T = T, .stride = stride}, .N = N, .accumulate = accumulate};
  apus_for(apus_ceil_div(N, APUS_SUM_COLUMNS), T * N, APUS_OF_PAIR(plain_columns), &w);
}

APUS_CLONES static void APUS_OF_PAIR(layernorm_columns)(void *context, int64_t block) {
  const WORK *w = context;
  int64_t first = block * APUS_SUM_COLUMNS, count = apus_min(w->N - first, APUS_SUM_COLUMNS);
  APUS_OF_PAIR(sum_columns)(w->out, &w->terms, first, count, w->accumulate, 1, 1);
  APUS_OF_PAIR(sum_columns)(w->db, &w->terms, first, count, w->accumulate_b, 0, 0);
}

void APUS_OF_PAIR(layernorm_backward_weights)(
    APUS_OUTPUT *dw, APUS_OUTPUT *db, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, const float *mean,
    const float *rstd, int64_t T, int64_t D, int accumulate_w, int accumulate_b) {
  WORK w = {
      .out = dw, .db = db, .terms = {.a = dy, .x = x, .mean = mean, .rstd = rstd, .T = T, .stride = D},
      .N = D, .accumulate = accumulate_w, .accumulate_b = accumulate_b};
  apus_for(apus_ceil_div(D, APUS_SUM_COLUMNS), T * D, APUS_OF_PAIR(layernorm_columns), &w);
}

APUS_CLONES static void APUS_OF_PAIR(rmsnorm_columns)(void *context, int64_t block) {
  const WORK *w = context;
  int64_t first = block * APUS_SUM_COLUMNS, count = apus_min(w->N - first, APUS_SUM_COLUMNS);
  APUS_OF_PAIR(sum_columns)(w->out, &w->terms, first, count, w->accumulate, 1, 0);
}

void APUS_OF_PAIR(rmsnorm_backward_weights)(
    APUS_OUTPUT *dw, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, const float *rstd, int64_t T, int64_t D,
    int accumulate) {
  WORK w = {
      .out = dw, .terms = {.a = dy, .x = x, .rstd = rstd, .T = T, .stride = D}, .N = D,
      .accumulate = accumulate};
  apus_for(apus_ceil_div(D, APUS_SUM_COLUMNS), T * D, APUS_OF_PAIR(rmsnorm_columns), &w);
}

// No APUS_FUSED_MATH here: a product fused with the sum would skip the rounding of dx.
APUS_CLONES static void APUS_OF_PAIR(bias_gelu_columns)(void *context, int64_t block) {
  const WORK *w = context;
  const int64_t first = block * APUS_SUM_COLUMNS, count = apus_min(w->N - first, APUS_SUM_COLUMNS);
  const APUS_ELEMENT *bias = w->bias + first;
  float total[APUS_SUM_COLUMNS] = {0};
  for (int64_t t0 = 0; t0 < w->terms.T; t0 += APUS_SUM_ROWS) {
    float partial[APUS_SUM_COLUMNS] = {0};
    for (int64_t t = t0; t < apus_min(w->terms.T, t0 + APUS_SUM_ROWS); t++) {
      APUS_ELEMENT *dx = w->dx + t * w->N + first;
      const APUS_ELEMENT *dy = w->terms.a + t * w->N + first, *x = w->terms.x + t * w->N + first;
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < count; i++) {
        APUS_ELEMENT sum = APUS_ROUND(APUS_WIDEN(x[i]) + APUS_WIDEN(bias[i]));
        APUS_ELEMENT gradient = APUS_ROUND(APUS_WIDEN(dy[i]) * apus_gelu_slope(APUS_WIDEN(sum)));
        dx[i] = gradient;
        partial[i] += APUS_WIDEN(gradient);
      }
    }
    for (int64_t i = 0; i < count; i++) total[i] += partial[i];
  }
  APUS_OF_PAIR(store_total)(w->out + first, total, count, w->accumulate);
}

void APUS_OF_PAIR(bias_gelu_backward)(
    APUS_ELEMENT *dx, APUS_OUTPUT *dbias, const APUS_ELEMENT *dy, const APUS_ELEMENT *x,
    const APUS_ELEMENT *bias, int64_t T, int64_t N, int accumulate_bias) {
  WORK w = {
      .out = dbias, .dx = dx, .bias = bias, .terms = {.a = dy, .x = x, .T = T}, .N = N,
      .accumulate = accumulate_bias};
  apus_for(apus_ceil_div(N, APUS_SUM_COLUMNS), T * N, APUS_OF_PAIR(bias_gelu_columns), &w);
}
#undef WORK
#undef TERMS
