// Body of embedding.c, once an element type: what forward reads from the tables.
#define WORK APUS_OF(lookup_work)
typedef struct {
  APUS_ELEMENT *out;
  const APUS_ELEMENT *x, *table;
  const int32_t *ids;
  int64_t T, D, S, start, rows;
} WORK;

static void APUS_OF(gather_rows)(void *context, int64_t block) {
  const WORK *w = context;
  for (int64_t t = block * w->rows; t < apus_min(w->T, (block + 1) * w->rows); t++) {
    memcpy(w->out + t * w->D, w->table + w->ids[t] * w->D, (size_t)w->D * sizeof(APUS_ELEMENT));
  }
}

void APUS_OF(embedding_forward)(
    APUS_ELEMENT *out, const APUS_ELEMENT *table, const int32_t *ids, int64_t T, int64_t D) {
  WORK w = {.out = out, .table = table, .ids = ids, .T = T, .D = D, .rows = rows_per_task(D)};
  apus_for(apus_ceil_div(T, w.rows), T * D, APUS_OF(gather_rows), &w);
}

APUS_CLONES static void APUS_OF(add_positions)(void *context, int64_t block) {
  const WORK *w = context;
  for (int64_t t = block * w->rows; t < apus_min(w->T, (block + 1) * w->rows); t++) {
    APUS_ELEMENT *out = w->out + t * w->D;
    const APUS_ELEMENT *x = w->x + t * w->D, *position = w->table + (w->start + t % w->S) * w->D;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < w->D; i++) out[i] = APUS_ROUND(APUS_WIDEN(x[i]) + APUS_WIDEN(position[i]));
  }
}

void APUS_OF(position_forward)(
    APUS_ELEMENT *out, const APUS_ELEMENT *x, const APUS_ELEMENT *table, int64_t T, int64_t D, int64_t S,
    int64_t start) {
  WORK w = {
      .out = out, .x = x, .table = table, .T = T, .D = D, .S = S, .start = start, .rows = rows_per_task(D)};
  apus_for(apus_ceil_div(T, w.rows), T * D, APUS_OF(add_positions), &w);
}
#undef WORK
