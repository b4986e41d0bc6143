// Body of optimizer.c, once a type of weights. The gradient is float32 or of the same type as the weights.
APUS_CLONES static void APUS_OF(adamw_block)(void *context, int64_t block) {
  const adamw_work *w = context;
  const int64_t first = block * APUS_BLOCK, last = apus_min(w->n, first + APUS_BLOCK);
  for (int64_t at = first; at < last; at += ADAMW_CHUNK) {
    const int64_t count = apus_min(last - at, ADAMW_CHUNK);
    float wide[ADAMW_CHUNK];
    const float *gradient = (const float *)w->gradient + at;
    if (w->gradient_type != APUS_F32) {
      const APUS_ELEMENT *narrow = (const APUS_ELEMENT *)w->gradient + at;
      for (int64_t i = 0; i < count; i++) wide[i] = APUS_WIDEN(narrow[i]);
      gradient = wide;
    }
    update(w, w->p + at, w->m + at, w->v + at, gradient, count);
    if (w->weights) {
      APUS_ELEMENT *weights = (APUS_ELEMENT *)w->weights + at;
      const float *p = w->p + at;
      APUS_ELEMENTWISE
      for (int64_t i = 0; i < count; i++) weights[i] = APUS_ROUND(p[i]);
    }
  }
}
