// Body of copy.c, once a pair of element types.
#define WORK APUS_OF_PAIR(copy_work)
typedef struct {
  APUS_OUTPUT *out;
  const APUS_ELEMENT *a;
  int64_t n;
  int accumulate;
  double sums[APUS_SQUARES_ROUND];
} WORK;

APUS_INLINE void APUS_OF_PAIR(copy_elements)(
    APUS_OUTPUT *out, const APUS_ELEMENT *a, int64_t count, int accumulate) {
  if (accumulate) {
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < count; i++) {
      out[i] = APUS_ROUND_OUTPUT(APUS_WIDEN_OUTPUT(out[i]) + APUS_WIDEN(a[i]));
    }
  } else {
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < count; i++) out[i] = APUS_ROUND_OUTPUT(APUS_WIDEN(a[i]));
  }
}

APUS_CLONES static void APUS_OF_PAIR(copy_block)(void *context, int64_t block) {
  const WORK *w = context;
  const int64_t first = block * APUS_BLOCK, count = apus_min(w->n - first, APUS_BLOCK);
  APUS_OF_PAIR(copy_elements)(w->out + first, w->a + first, count, w->accumulate);
}

void APUS_OF_PAIR(copy)(APUS_OUTPUT *out, const APUS_ELEMENT *a, int64_t n, int accumulate) {
  WORK w;
  w.out = out;
  w.a = a;
  w.n = n;
  w.accumulate = accumulate;
  apus_for(apus_ceil_div(n, APUS_BLOCK), n, APUS_OF_PAIR(copy_block), &w);
}

APUS_CLONES static void APUS_OF_PAIR(copy_squares_block)(void *context, int64_t block) {
  WORK *w = context;
  const int64_t first = block * APUS_SQUARES_BLOCK, last = apus_min(w->n, first + APUS_SQUARES_BLOCK);
  float wide[APUS_SQUARES_CHUNK];
  double sum = 0;
  for (int64_t at = first; at < last; at += APUS_SQUARES_CHUNK) {
    APUS_OUTPUT *out = w->out + at;
    const int64_t count = apus_min(last - at, APUS_SQUARES_CHUNK);
    APUS_OF_PAIR(copy_elements)(out, w->a + at, count, w->accumulate);
    for (int64_t i = 0; i < count; i++) wide[i] = APUS_WIDEN_OUTPUT(out[i]);
    sum += apus_squares_of_chunk(wide, count);
  }
  w->sums[block] = sum;
}

double APUS_OF_PAIR(copy_squares)(APUS_OUTPUT *out, const APUS_ELEMENT *a, int64_t n, int accumulate) {
  double total = 0;
  while (n > 0) {
    WORK w = {
        .out = out, .a = a, .n = apus_min(n, (int64_t)APUS_SQUARES_ROUND * APUS_SQUARES_BLOCK),
        .accumulate = accumulate};
    total += apus_squares_of_round(w.n, w.sums, APUS_OF_PAIR(copy_squares_block), &w);
    out += w.n;
    a += w.n;
    n -= w.n;
  }
  return total;
}
#undef WORK
