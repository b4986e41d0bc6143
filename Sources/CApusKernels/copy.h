// Body of copy.c, once a pair of element types.
#define WORK APUS_OF_PAIR(copy_work)
typedef struct {
  APUS_OUTPUT *out;
  const APUS_ELEMENT *a;
  int64_t n;
  int accumulate;
} WORK;

APUS_CLONES static void APUS_OF_PAIR(copy_block)(void *context, int64_t block) {
  const WORK *w = context;
  const int64_t first = block * APUS_BLOCK, count = apus_min(w->n - first, APUS_BLOCK);
  APUS_OUTPUT *out = w->out + first;
  const APUS_ELEMENT *a = w->a + first;
  if (w->accumulate) {
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < count; i++) {
      out[i] = APUS_ROUND_OUTPUT(APUS_WIDEN_OUTPUT(out[i]) + APUS_WIDEN(a[i]));
    }
  } else {
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < count; i++) out[i] = APUS_ROUND_OUTPUT(APUS_WIDEN(a[i]));
  }
}

void APUS_OF_PAIR(copy)(APUS_OUTPUT *out, const APUS_ELEMENT *a, int64_t n, int accumulate) {
  WORK w = {.out = out, .a = a, .n = n, .accumulate = accumulate};
  apus_for(apus_ceil_div(n, APUS_BLOCK), n, APUS_OF_PAIR(copy_block), &w);
}
#undef WORK
