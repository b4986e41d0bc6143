// Weight gradients of the norms: column sums, each task over its own 64 columns.
#include "column_sum.h"

typedef struct {
  float *dw, *db;
  apus_column_terms terms;
  int64_t D;
  int accumulate_w, accumulate_b;
} norm_weights_work;

APUS_CLONES static void layernorm_columns(void *context, int64_t block) {
  const norm_weights_work *n = context;
  int64_t first = block * APUS_SUM_COLUMNS, count = apus_min(n->D - first, APUS_SUM_COLUMNS);
  apus_sum_columns(n->dw, &n->terms, first, count, n->accumulate_w, 1, 1);
  apus_sum_columns(n->db, &n->terms, first, count, n->accumulate_b, 0, 0);
}

void apus_layernorm_backward_weights_f32(
    float *dw, float *db, const float *dy, const float *x, const float *mean, const float *rstd, int64_t T,
    int64_t D, int accumulate_w, int accumulate_b) {
  norm_weights_work n = {
      .dw = dw, .db = db, .terms = {.a = dy, .x = x, .mean = mean, .rstd = rstd, .T = T, .stride = D},
      .D = D, .accumulate_w = accumulate_w, .accumulate_b = accumulate_b};
  apus_for(apus_ceil_div(D, APUS_SUM_COLUMNS), T * D, layernorm_columns, &n);
}

APUS_CLONES static void rmsnorm_columns(void *context, int64_t block) {
  const norm_weights_work *n = context;
  int64_t first = block * APUS_SUM_COLUMNS, count = apus_min(n->D - first, APUS_SUM_COLUMNS);
  apus_sum_columns(n->dw, &n->terms, first, count, n->accumulate_w, 1, 0);
}

void apus_rmsnorm_backward_weights_f32(
    float *dw, const float *dy, const float *x, const float *rstd, int64_t T, int64_t D, int accumulate) {
  norm_weights_work n = {
      .dw = dw, .terms = {.a = dy, .x = x, .rstd = rstd, .T = T, .stride = D}, .D = D,
      .accumulate_w = accumulate};
  apus_for(apus_ceil_div(D, APUS_SUM_COLUMNS), T * D, rmsnorm_columns, &n);
}
