// Token and position embeddings. Gradients are split by columns, so that rows hit twice need no locks and
// the order of every sum is fixed.
#include "internal.h"

typedef struct {
  float *out;
  const float *x, *table;
  const int32_t *ids;
  int64_t T, D, S, P, start, rows;
  int accumulate;
} embedding_work;

// Rows of one task: about APUS_BLOCK elements.
static int64_t rows_per_task(int64_t D) { return apus_max(1, APUS_BLOCK / apus_max(D, 1)); }

static void gather_rows(void *context, int64_t block) {
  const embedding_work *w = context;
  for (int64_t t = block * w->rows; t < apus_min(w->T, (block + 1) * w->rows); t++) {
    memcpy(w->out + t * w->D, w->table + w->ids[t] * w->D, (size_t)w->D * sizeof(float));
  }
}

void apus_embedding_forward_f32(float *out, const float *table, const int32_t *ids, int64_t T, int64_t D) {
  embedding_work w = {.out = out, .table = table, .ids = ids, .T = T, .D = D, .rows = rows_per_task(D)};
  apus_for(apus_ceil_div(T, w.rows), T * D, gather_rows, &w);
}

enum { EMBEDDING_COLUMNS = 64 };

static void zero_rows(void *context, int64_t block) {
  const embedding_work *w = context;
  int64_t first = block * w->rows, count = apus_min(w->P, first + w->rows) - first;
  memset(w->out + first * w->D, 0, (size_t)(count * w->D) * sizeof(float));
}

APUS_CLONES static void scatter_columns(void *context, int64_t block) {
  const embedding_work *w = context;
  int64_t first = block * EMBEDDING_COLUMNS, count = apus_min(w->D - first, EMBEDDING_COLUMNS);
  for (int64_t t = 0; t < w->T; t++) {
    float *row = w->out + w->ids[t] * w->D + first;
    const float *gradient = w->x + t * w->D + first;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < count; i++) row[i] += gradient[i];
  }
}

void apus_embedding_backward_f32(
    float *dtable, const float *dout, const int32_t *ids, int64_t T, int64_t D, int64_t V, int accumulate) {
  embedding_work w = {.out = dtable, .x = dout, .ids = ids, .T = T, .D = D, .P = V, .rows = rows_per_task(D)};
  if (!accumulate) apus_for(apus_ceil_div(V, w.rows), V * D, zero_rows, &w);
  apus_for(apus_ceil_div(D, EMBEDDING_COLUMNS), T * D, scatter_columns, &w);
}

APUS_CLONES static void add_positions(void *context, int64_t block) {
  const embedding_work *w = context;
  for (int64_t t = block * w->rows; t < apus_min(w->T, (block + 1) * w->rows); t++) {
    float *out = w->out + t * w->D;
    const float *x = w->x + t * w->D, *position = w->table + (w->start + t % w->S) * w->D;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < w->D; i++) out[i] = x[i] + position[i];
  }
}

void apus_position_forward_f32(
    float *out, const float *x, const float *table, int64_t T, int64_t D, int64_t S, int64_t start) {
  embedding_work w = {
      .out = out, .x = x, .table = table, .T = T, .D = D, .S = S, .start = start, .rows = rows_per_task(D)};
  apus_for(apus_ceil_div(T, w.rows), T * D, add_positions, &w);
}

// One position: the sum over the sequences of the batch, in order.
APUS_CLONES static void sum_position(void *context, int64_t p) {
  const embedding_work *w = context;
  float *row = w->out + p * w->D;
  if (!w->accumulate) memset(row, 0, (size_t)w->D * sizeof(float));
  if (p >= w->S) return;
  for (int64_t t = p; t < w->T; t += w->S) {
    const float *gradient = w->x + t * w->D;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < w->D; i++) row[i] += gradient[i];
  }
}

void apus_position_backward_f32(
    float *dtable, const float *dout, int64_t T, int64_t D, int64_t S, int64_t P, int accumulate) {
  embedding_work w = {.out = dtable, .x = dout, .T = T, .D = D, .S = S, .P = P, .accumulate = accumulate};
  apus_for(P, T * D + P * D, sum_position, &w);
}
