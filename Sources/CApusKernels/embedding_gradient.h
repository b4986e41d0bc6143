// Body of embedding_gradient.c, once a pair of element types.
#define WORK APUS_OF_PAIR(scatter_work)
typedef struct {
  APUS_OUTPUT *out;
  const APUS_ELEMENT *x;
  const int32_t *ids;
  int64_t T, D, S, P, rows;
  int accumulate;
} WORK;

static void APUS_OF_PAIR(zero_rows)(void *context, int64_t block) {
  const WORK *w = context;
  int64_t first = block * w->rows, count = apus_min(w->P, first + w->rows) - first;
  memset(w->out + first * w->D, 0, (size_t)(count * w->D) * sizeof(APUS_OUTPUT));
}

// A float32 table takes each token's gradient as it comes.
APUS_CLONES static void APUS_OF_PAIR(scatter_columns)(void *context, int64_t block) {
  const WORK *w = context;
  int64_t first = block * EMBEDDING_COLUMNS, count = apus_min(w->D - first, EMBEDDING_COLUMNS);
  for (int64_t t = 0; t < w->T; t++) {
    APUS_OUTPUT *row = w->out + w->ids[t] * w->D + first;
    const APUS_ELEMENT *gradient = w->x + t * w->D + first;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < count; i++) {
      row[i] = APUS_ROUND_OUTPUT(APUS_WIDEN_OUTPUT(row[i]) + APUS_WIDEN(gradient[i]));
    }
  }
}

// A 16-bit table would lose what frequent tokens add one by one: tokens are sorted by id (and position), and
// the sum of each id is rounded once.
APUS_CLONES static void APUS_OF_PAIR(scatter_sorted_columns)(void *context, int64_t block) {
  const WORK *w = context;
  int64_t first = block * EMBEDDING_COLUMNS, count = apus_min(w->D - first, EMBEDDING_COLUMNS);
  uint64_t keys[TOKENS_AT_ONCE];
  for (int64_t t0 = 0; t0 < w->T; t0 += TOKENS_AT_ONCE) {
    int64_t tokens = apus_min(w->T - t0, TOKENS_AT_ONCE);
    for (int64_t t = 0; t < tokens; t++) keys[t] = (uint64_t)w->ids[t0 + t] << 32 | (uint64_t)t;
    sort_keys(keys, tokens);
    for (int64_t k = 0; k < tokens;) {
      const uint64_t id = keys[k] >> 32;
      float sum[EMBEDDING_COLUMNS] = {0};
      for (; k < tokens && keys[k] >> 32 == id; k++) {
        const APUS_ELEMENT *gradient = w->x + (t0 + (int64_t)(keys[k] & 0xFFFFFFFFu)) * w->D + first;
        APUS_ELEMENTWISE
        for (int64_t i = 0; i < count; i++) sum[i] += APUS_WIDEN(gradient[i]);
      }
      APUS_OUTPUT *row = w->out + (int64_t)id * w->D + first;
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < count; i++) row[i] = APUS_ROUND_OUTPUT(APUS_WIDEN_OUTPUT(row[i]) + sum[i]);
    }
  }
}

void APUS_OF_PAIR(embedding_backward)(
    APUS_OUTPUT *dtable, const APUS_ELEMENT *dout, const int32_t *ids, int64_t T, int64_t D, int64_t V,
    int accumulate) {
  WORK w = {
      .out = dtable, .x = dout, .ids = ids, .T = T, .D = D, .P = V,
      .rows = apus_max(1, APUS_BLOCK / apus_max(D, 1))};
  if (!accumulate) apus_for(apus_ceil_div(V, w.rows), V * D, APUS_OF_PAIR(zero_rows), &w);
  apus_for(
      apus_ceil_div(D, EMBEDDING_COLUMNS), T * D,
      sizeof(APUS_OUTPUT) == sizeof(float) ? APUS_OF_PAIR(scatter_columns) : APUS_OF_PAIR(scatter_sorted_columns),
      &w);
}

// One position: the sum over the sequences of the batch, in order.
APUS_CLONES static void APUS_OF_PAIR(sum_position)(void *context, int64_t p) {
  const WORK *w = context;
  APUS_OUTPUT *row = w->out + p * w->D;
  if (p >= w->S) {
    if (!w->accumulate) memset(row, 0, (size_t)w->D * sizeof(APUS_OUTPUT));
    return;
  }
  for (int64_t first = 0; first < w->D; first += EMBEDDING_COLUMNS) {
    const int64_t count = apus_min(w->D - first, EMBEDDING_COLUMNS);
    float sum[EMBEDDING_COLUMNS];
    for (int64_t i = 0; i < count; i++) sum[i] = w->accumulate ? APUS_WIDEN_OUTPUT(row[first + i]) : 0;
    for (int64_t t = p; t < w->T; t += w->S) {
      const APUS_ELEMENT *gradient = w->x + t * w->D + first;
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < count; i++) sum[i] += APUS_WIDEN(gradient[i]);
    }
    for (int64_t i = 0; i < count; i++) row[first + i] = APUS_ROUND_OUTPUT(sum[i]);
  }
}

void APUS_OF_PAIR(position_backward)(
    APUS_OUTPUT *dtable, const APUS_ELEMENT *dout, int64_t T, int64_t D, int64_t S, int64_t P,
    int accumulate) {
  WORK w = {.out = dtable, .x = dout, .T = T, .D = D, .S = S, .P = P, .accumulate = accumulate};
  apus_for(P, T * D + P * D, APUS_OF_PAIR(sum_position), &w);
}
#undef WORK
