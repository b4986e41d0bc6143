// Body of dropout.c, once an element type.
#define WORK APUS_OF(dropout_work)
typedef struct {
  APUS_ELEMENT *out;
  const APUS_ELEMENT *x, *residual;  // residual may be null: nothing is added then
  const apus_dropout *dropout;
  int64_t T, D, rows;
} WORK;

APUS_CLONES static void APUS_OF(dropout_rows)(void *context, int64_t block) {
  const WORK *w = context;
  const apus_dropout *d = w->dropout;
  const double bound = (double)d->probability * 4294967296.0;
  const uint32_t threshold = bound > 4294967295.0 ? 4294967295u : (uint32_t)bound;
  const float scale = 1.0f / (1.0f - d->probability);
  uint32_t storage[DROPOUT_CHUNK + 2 * DROPOUT_GROUP];
  for (int64_t t = block * w->rows; t < apus_min(w->T, (block + 1) * w->rows); t++) {
    for (int64_t first = 0; first < w->D; first += DROPOUT_CHUNK) {
      const int64_t count = apus_min(w->D - first, DROPOUT_CHUNK), at = t * w->D + first;
      const int64_t global = (d->first_row + t) * d->width + d->first_column + first;
      const uint32_t *words = draw_words(storage, global, count, d);
      const APUS_ELEMENT *x = w->x + at;
      APUS_ELEMENT *out = w->out + at;
      if (w->residual) {
        const APUS_ELEMENT *residual = w->residual + at;
        APUS_ELEMENTWISE
        for (int64_t i = 0; i < count; i++) {
          float scaled = APUS_WIDEN(x[i]) * scale;
          APUS_ELEMENT kept = APUS_ROUND(words[i] >= threshold ? scaled : 0.0f);
          out[i] = APUS_ROUND(APUS_WIDEN(residual[i]) + APUS_WIDEN(kept));
        }
      } else {
        APUS_ELEMENTWISE
        for (int64_t i = 0; i < count; i++) {
          float scaled = APUS_WIDEN(x[i]) * scale;
          out[i] = APUS_ROUND(words[i] >= threshold ? scaled : 0.0f);
        }
      }
    }
  }
}

static void APUS_OF(run_dropout)(
    APUS_ELEMENT *out, const APUS_ELEMENT *residual, const APUS_ELEMENT *x, int64_t T, int64_t D,
    const apus_dropout *dropout) {
  WORK w = {
      .out = out, .x = x, .residual = residual, .dropout = dropout, .T = T, .D = D,
      .rows = apus_max(1, APUS_BLOCK / apus_max(D, 1))};
  apus_for(apus_ceil_div(T, w.rows), T * D, APUS_OF(dropout_rows), &w);
}

void APUS_OF(dropout_forward)(
    APUS_ELEMENT *out, const APUS_ELEMENT *x, int64_t T, int64_t D, const apus_dropout *dropout) {
  APUS_OF(run_dropout)(out, NULL, x, T, D, dropout);
}

void APUS_OF(dropout_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *dy, int64_t T, int64_t D, const apus_dropout *dropout,
    int accumulate) {
  APUS_OF(run_dropout)(dx, accumulate ? dx : NULL, dy, T, D, dropout);
}

void APUS_OF(dropout_add)(
    APUS_ELEMENT *out, const APUS_ELEMENT *residual, const APUS_ELEMENT *x, int64_t T, int64_t D,
    const apus_dropout *dropout) {
  APUS_OF(run_dropout)(out, residual, x, T, D, dropout);
}
#undef WORK
