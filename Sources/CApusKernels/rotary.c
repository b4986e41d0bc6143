// Rotary position embedding (Su et al. 2021, RoFormer), halves paired as in GPT-NeoX and Llama.
#include "internal.h"

typedef struct {
  float *out;
  const float *x, *cosines, *sines;
  int64_t T, width, heads, head_size, S, start, rows;
  float direction;
} rotary_work;

APUS_CLONES static void rotate_rows(void *context, int64_t block) {
  APUS_FUSED_MATH
  const rotary_work *w = context;
  const int64_t half = w->head_size / 2, rotated = w->heads * w->head_size;
  for (int64_t t = block * w->rows; t < apus_min(w->T, (block + 1) * w->rows); t++) {
    const float *cosine = w->cosines + (w->start + t % w->S) * half;
    const float *sine = w->sines + (w->start + t % w->S) * half;
    const float *x = w->x + t * w->width;
    float *out = w->out + t * w->width;
    for (int64_t head = 0; head < w->heads; head++, x += w->head_size, out += w->head_size) {
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half], s = w->direction * sine[i];
        out[i] = a * cosine[i] - b * s;
        out[i + half] = b * cosine[i] + a * s;
      }
    }
    if (out != x) memcpy(out, x, (size_t)(w->width - rotated) * sizeof(float));
  }
}

void apus_rotary_f32(
    float *out, const float *x, const float *cosines, const float *sines, int64_t T, int64_t width,
    int64_t heads, int64_t headSize, int64_t S, int64_t start, int direction) {
  rotary_work w = {
      .out = out, .x = x, .cosines = cosines, .sines = sines, .T = T, .width = width, .heads = heads,
      .head_size = headSize, .S = S, .start = start, .direction = (float)direction,
      .rows = apus_max(1, APUS_BLOCK / apus_max(width, 1))};
  apus_for(apus_ceil_div(T, w.rows), T * width, rotate_rows, &w);
}
