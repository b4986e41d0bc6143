// Embedding and cross-entropy over a vocabulary whose rows are divided over ranks (Shoeybi et al. 2019,
// section 3). Sums over ranks go in order of rank, so that every rank finds the same losses.
#include "internal.h"
#include "apus_vocabulary.h"

typedef struct {
  char *out;
  const char *table;
  const int32_t *ids;
  int64_t T, row_bytes, first, count, rows;
} part_work;

static void gather_rows(void *context, int64_t block) {
  const part_work *w = context;
  for (int64_t t = block * w->rows; t < apus_min(w->T, (block + 1) * w->rows); t++) {
    int64_t row = w->ids[t] - w->first;
    if (row >= 0 && row < w->count) {
      memcpy(w->out + t * w->row_bytes, w->table + row * w->row_bytes, (size_t)w->row_bytes);
    } else {
      memset(w->out + t * w->row_bytes, 0, (size_t)w->row_bytes);
    }
  }
}

void apus_embedding_part_forward(
    void *out, const void *table, const int32_t *ids, int64_t T, int64_t row_bytes, int64_t first, int64_t count) {
  part_work w = {
      .out = out, .table = table, .ids = ids, .T = T, .row_bytes = row_bytes, .first = first, .count = count,
      .rows = apus_max(1, 4 * APUS_BLOCK / apus_max(row_bytes, 1))};
  apus_for(apus_ceil_div(T, w.rows), T * row_bytes / 4, gather_rows, &w);
}

typedef struct {
  float *out, *losses;
  const float *logits, *statistics;
  const int32_t *targets;
  int64_t T, V, first, count, ranks;
  float scale;
} part_entropy_work;

APUS_CLONES static void statistics_row(void *context, int64_t t) {
  APUS_FAST_MATH
  const part_entropy_work *w = context;
  const float *x = w->logits + t * w->V;
  float maximum = -__builtin_inff(), sum = 0;
  for (int64_t i = 0; i < w->count; i++) maximum = x[i] > maximum ? x[i] : maximum;
  for (int64_t i = 0; i < w->count; i++) sum += apus_exp(x[i] - maximum);
  int64_t target = w->targets[t] - w->first;
  float *out = w->out + t * 3;
  out[0] = maximum;
  out[1] = sum;
  out[2] = target >= 0 && target < w->count ? x[target] : 0;
}

void apus_cross_entropy_statistics_f32(
    float *statistics, const float *logits, const int32_t *targets, int64_t T, int64_t V, int64_t first,
    int64_t count) {
  part_entropy_work w = {
      .out = statistics, .logits = logits, .targets = targets, .V = V, .first = first, .count = count};
  apus_for(T, T * V, statistics_row, &w);
}

typedef struct {
  float maximum, sum, target;
} whole_row;

APUS_INLINE whole_row merge(const float *statistics, int64_t t, int64_t T, int64_t ranks) {
  whole_row row = {.maximum = statistics[t * 3]};
  for (int64_t r = 1; r < ranks; r++) {
    float other = statistics[(r * T + t) * 3];
    row.maximum = other > row.maximum ? other : row.maximum;
  }
  for (int64_t r = 0; r < ranks; r++) {
    const float *part = statistics + (r * T + t) * 3;
    row.sum += part[1] * apus_exp(part[0] - row.maximum);
    row.target += part[2];
  }
  return row;
}

static void merge_row(void *context, int64_t t) {
  const part_entropy_work *w = context;
  whole_row row = merge(w->statistics, t, w->T, w->ranks);
  w->losses[t] = w->targets[t] < 0 ? 0 : logf(row.sum) - (row.target - row.maximum);
}

void apus_cross_entropy_merge_f32(
    float *losses, const float *statistics, const int32_t *targets, int64_t T, int64_t ranks) {
  part_entropy_work w = {
      .losses = losses, .statistics = statistics, .targets = targets, .T = T, .ranks = ranks};
  apus_for(T, T * ranks, merge_row, &w);
}

APUS_CLONES static void gradient_row(void *context, int64_t t) {
  APUS_FUSED_MATH
  const part_entropy_work *w = context;
  float *x = w->out + t * w->V;
  if (w->targets[t] < 0) {
    w->losses[t] = 0;
    memset(x, 0, (size_t)w->V * sizeof(float));
    return;
  }
  whole_row row = merge(w->statistics, t, w->T, w->ranks);
  w->losses[t] = logf(row.sum) - (row.target - row.maximum);
  float factor = w->scale / row.sum;
  for (int64_t i = 0; i < w->count; i++) x[i] = factor * apus_exp(x[i] - row.maximum);
  for (int64_t i = w->count; i < w->V; i++) x[i] = 0;
  int64_t target = w->targets[t] - w->first;
  if (target >= 0 && target < w->count) x[target] -= w->scale;
}

void apus_cross_entropy_part_backward_f32(
    float *losses, float *logits, const float *statistics, const int32_t *targets, int64_t T, int64_t V,
    int64_t first, int64_t count, int64_t ranks, float scale) {
  part_entropy_work w = {
      .out = logits, .losses = losses, .statistics = statistics, .targets = targets, .T = T, .V = V,
      .first = first, .count = count, .ranks = ranks, .scale = scale};
  apus_for(T, T * V, gradient_row, &w);
}
