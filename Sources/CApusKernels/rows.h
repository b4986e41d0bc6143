// Body of rows.c, once an element type.
APUS_CLONES static void APUS_OF(widen_some)(void *context, int64_t block) {
  const rows_work *w = context;
  EACH_ROW(r, w, block) {
    float *out = (float *)w->out + r * w->out_stride;
    const APUS_ELEMENT *x = (const APUS_ELEMENT *)w->x + r * w->stride;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < w->columns; i++) out[i] = APUS_WIDEN(x[i]);
  }
}

APUS_CLONES static void APUS_OF(round_some)(void *context, int64_t block) {
  const rows_work *w = context;
  for (int64_t first = 0; first < w->columns; first += BIAS_COLUMNS) {
    const int64_t count = apus_min(w->columns - first, BIAS_COLUMNS);
    float bias[BIAS_COLUMNS] = {0};
    for (int64_t i = 0; w->bias && i < count; i++) {
      bias[i] = w->bias_type == APUS_F32    ? ((const float *)w->bias)[first + i]
                : w->bias_type == APUS_BF16 ? apus_widen_bf16(((const apus_bf16 *)w->bias)[first + i])
                                            : apus_widen_f16(((const apus_f16 *)w->bias)[first + i]);
    }
    EACH_ROW(r, w, block) {
      APUS_ELEMENT *out = (APUS_ELEMENT *)w->out + r * w->out_stride + first;
      const float *x = (const float *)w->x + r * w->stride + first;
      if (w->accumulate) {
        APUS_ELEMENTWISE
        for (int64_t i = 0; i < count; i++) out[i] = APUS_ROUND(x[i] + bias[i] + APUS_WIDEN(out[i]));
      } else {
        APUS_ELEMENTWISE
        for (int64_t i = 0; i < count; i++) out[i] = APUS_ROUND(x[i] + bias[i]);
      }
    }
  }
}
