// Column sums of a matrix: bias gradients.
#include "column_sum.h"

typedef struct {
  float *out;
  apus_column_terms terms;
  int64_t N;
  int accumulate;
} column_sum_work;

APUS_CLONES static void sum_columns(void *context, int64_t block) {
  const column_sum_work *w = context;
  int64_t first = block * APUS_SUM_COLUMNS, count = apus_min(w->N - first, APUS_SUM_COLUMNS);
  apus_sum_columns(w->out, &w->terms, first, count, w->accumulate, 0, 0);
}

void apus_column_sum_f32(float *out, const float *x, int64_t T, int64_t N, int64_t stride, int accumulate) {
  column_sum_work w = {
      .out = out, .terms = {.a = x, .T = T, .stride = stride}, .N = N, .accumulate = accumulate};
  apus_for(apus_ceil_div(N, APUS_SUM_COLUMNS), T * N, sum_columns, &w);
}
