// Sums over rows of up to 64 columns at a time, for bias and norm gradients.
//
// A task owns its columns, so nothing is combined between threads.
#ifndef APUS_COLUMN_SUM_H
#define APUS_COLUMN_SUM_H
#include "internal.h"

enum { APUS_SUM_COLUMNS = 64, APUS_SUM_ROWS = 128 };

// The terms of one column sum: a, a * x * rstd, or a * (x - mean) * rstd, by which pointers are given.
typedef struct {
  const float *a, *x, *mean, *rstd;
  int64_t T, stride;
} apus_column_terms;

// Adds rows t0 ..< t1 of a full block of columns to `total`. The flags are constants where this is inlined.
APUS_INLINE void apus_sum_block(
    float *total, const apus_column_terms *terms, int64_t first, int64_t t0, int64_t t1, int normalised,
    int centred) {
  APUS_FUSED_MATH
  apus_v16 s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int64_t t = t0; t < t1; t++) {
    const float *a = terms->a + t * terms->stride + first;
    if (!normalised) {
      s0 += APUS_LOAD16(a);
      s1 += APUS_LOAD16(a + 16);
      s2 += APUS_LOAD16(a + 32);
      s3 += APUS_LOAD16(a + 48);
      continue;
    }
    const float *x = terms->x + t * terms->stride + first;
    float rstd = terms->rstd[t], shift = centred ? terms->mean[t] * rstd : 0.0f;
    s0 += APUS_LOAD16(a) * (APUS_LOAD16(x) * rstd - shift);
    s1 += APUS_LOAD16(a + 16) * (APUS_LOAD16(x + 16) * rstd - shift);
    s2 += APUS_LOAD16(a + 32) * (APUS_LOAD16(x + 32) * rstd - shift);
    s3 += APUS_LOAD16(a + 48) * (APUS_LOAD16(x + 48) * rstd - shift);
  }
  APUS_STORE16(total, APUS_LOAD16(total) + s0);
  APUS_STORE16(total + 16, APUS_LOAD16(total + 16) + s1);
  APUS_STORE16(total + 32, APUS_LOAD16(total + 32) + s2);
  APUS_STORE16(total + 48, APUS_LOAD16(total + 48) + s3);
}

// The same for the last, narrower block.
APUS_INLINE void apus_sum_narrow_block(
    float *total, const apus_column_terms *terms, int64_t first, int64_t count, int64_t t0, int64_t t1,
    int normalised, int centred) {
  APUS_FUSED_MATH
  float partial[APUS_SUM_COLUMNS] = {0};
  for (int64_t t = t0; t < t1; t++) {
    const float *a = terms->a + t * terms->stride + first;
    const float *x = normalised ? terms->x + t * terms->stride + first : a;
    float rstd = normalised ? terms->rstd[t] : 1.0f, shift = centred ? terms->mean[t] * rstd : 0.0f;
    for (int64_t i = 0; i < count; i++) partial[i] += normalised ? a[i] * (x[i] * rstd - shift) : a[i];
  }
  for (int64_t i = 0; i < count; i++) total[i] += partial[i];
}

// out (+)= the sums of columns first ..< first + count. 128 rows are summed before they are added to the
// total: the rounding error grows with T/128 + 128 instead of T.
APUS_INLINE void apus_sum_columns(
    float *out, const apus_column_terms *terms, int64_t first, int64_t count, int accumulate, int normalised,
    int centred) {
  float total[APUS_SUM_COLUMNS] = {0};
  for (int64_t t0 = 0; t0 < terms->T; t0 += APUS_SUM_ROWS) {
    int64_t t1 = apus_min(terms->T, t0 + APUS_SUM_ROWS);
    if (count == APUS_SUM_COLUMNS) {
      apus_sum_block(total, terms, first, t0, t1, normalised, centred);
    } else {
      apus_sum_narrow_block(total, terms, first, count, t0, t1, normalised, centred);
    }
  }
  for (int64_t i = 0; i < count; i++) out[first + i] = accumulate ? out[first + i] + total[i] : total[i];
}
#endif
