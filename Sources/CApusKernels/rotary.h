// Body of rotary.c, once an element type.
#define WORK APUS_OF(rotary_work)
typedef struct {
  APUS_ELEMENT *out;
  const APUS_ELEMENT *x;
  const float *cosines, *sines;
  int64_t T, width, heads, head_size, S, start, rows;
  float direction;
} WORK;

APUS_CLONES static void APUS_OF(rotate_rows)(void *context, int64_t block) {
  APUS_FUSED_MATH
  const WORK *w = context;
  const int64_t half = w->head_size / 2, rotated = w->heads * w->head_size;
  for (int64_t t = block * w->rows; t < apus_min(w->T, (block + 1) * w->rows); t++) {
    const float *cosine = w->cosines + (w->start + t % w->S) * half;
    const float *sine = w->sines + (w->start + t % w->S) * half;
    const APUS_ELEMENT *x = w->x + t * w->width;
    APUS_ELEMENT *out = w->out + t * w->width;
    for (int64_t head = 0; head < w->heads; head++, x += w->head_size, out += w->head_size) {
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < half; i++) {
        float a = APUS_WIDEN(x[i]), b = APUS_WIDEN(x[i + half]), s = w->direction * sine[i];
        out[i] = APUS_ROUND(a * cosine[i] - b * s);
        out[i + half] = APUS_ROUND(b * cosine[i] + a * s);
      }
    }
    if (out != x) memcpy(out, x, (size_t)(w->width - rotated) * sizeof(APUS_ELEMENT));
  }
}

void APUS_OF(rotary)(
    APUS_ELEMENT *out, const APUS_ELEMENT *x, const float *cosines, const float *sines, int64_t T,
    int64_t width, int64_t heads, int64_t headSize, int64_t S, int64_t start, int direction) {
  WORK w = {
      .out = out, .x = x, .cosines = cosines, .sines = sines, .T = T, .width = width, .heads = heads,
      .head_size = headSize, .S = S, .start = start, .direction = (float)direction,
      .rows = apus_max(1, APUS_BLOCK / apus_max(width, 1))};
  apus_for(apus_ceil_div(T, w.rows), T * width, APUS_OF(rotate_rows), &w);
}
#undef WORK
