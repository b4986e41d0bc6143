// Blocks of matrices between 16 bits and float32, for products that convert their operands.
#include "element.h"

typedef struct {
  void *out;
  const void *x, *bias;
  int64_t out_stride, stride, rows, columns, rows_per_task;
  apus_element bias_type;
  int accumulate;
} rows_work;

static void run(apus_task task, rows_work *w) {
  w->rows_per_task = apus_max(1, APUS_BLOCK / apus_max(w->columns, 1));
  apus_for(apus_ceil_div(w->rows, w->rows_per_task), w->rows * w->columns, task, w);
}

#define EACH_ROW(r, w, block) \
  for (int64_t r = (block) * (w)->rows_per_task; r < apus_min((w)->rows, ((block) + 1) * (w)->rows_per_task); \
       r++)

// Columns of which the bias is widened at a time.
enum { BIAS_COLUMNS = 512 };

#define APUS_BODY "../rows.h"
#include "apus_each_element.h"

void apus_widen_rows(
    float *out, int64_t out_stride, const void *x, int64_t stride, apus_element type, int64_t rows,
    int64_t columns) {
  rows_work w = {
      .out = out, .x = x, .out_stride = out_stride, .stride = stride, .rows = rows, .columns = columns};
  const apus_task tasks[] = {apus_widen_some_f32, apus_widen_some_bf16, apus_widen_some_f16};
  run(tasks[type], &w);
}

void apus_round_rows(
    void *out, int64_t out_stride, apus_element type, const float *x, int64_t stride, const void *bias,
    apus_element bias_type, int64_t rows, int64_t columns, int accumulate) {
  rows_work w = {
      .out = out, .x = x, .bias = bias, .out_stride = out_stride, .stride = stride, .rows = rows,
      .columns = columns, .bias_type = bias_type, .accumulate = accumulate};
  const apus_task tasks[] = {apus_round_some_f32, apus_round_some_bf16, apus_round_some_f16};
  run(tasks[type], &w);
}
