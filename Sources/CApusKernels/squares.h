// Body of squares.c, once an element type.
#define WORK APUS_OF(squares_work)
typedef struct {
  const APUS_ELEMENT *x;
  int64_t n;
  double sums[APUS_SQUARES_ROUND];
} WORK;

APUS_CLONES static void APUS_OF(squares_block)(void *context, int64_t block) {
  WORK *w = context;
  const int64_t first = block * APUS_SQUARES_BLOCK, last = apus_min(w->n, first + APUS_SQUARES_BLOCK);
  float wide[APUS_SQUARES_CHUNK];
  double sum = 0;
  for (int64_t at = first; at < last; at += APUS_SQUARES_CHUNK) {
    const APUS_ELEMENT *x = w->x + at;
    const int64_t count = apus_min(last - at, APUS_SQUARES_CHUNK);
    for (int64_t i = 0; i < count; i++) wide[i] = APUS_WIDEN(x[i]);
    sum += apus_squares_of_chunk(wide, count);
  }
  w->sums[block] = sum;
}

double APUS_OF(sum_of_squares)(const APUS_ELEMENT *x, int64_t n) {
  double total = 0;
  while (n > 0) {
    WORK w = {.x = x, .n = apus_min(n, (int64_t)APUS_SQUARES_ROUND * APUS_SQUARES_BLOCK)};
    total += apus_squares_of_round(w.n, w.sums, APUS_OF(squares_block), &w);
    x += w.n;
    n -= w.n;
  }
  return total;
}
#undef WORK
