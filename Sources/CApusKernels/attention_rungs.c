// The ladder below FlashAttention-2: the same attention as plain loops, with the matrix of scores in memory,
// and as FlashAttention-1. For measurements; every rung gives the same numbers within rounding. All element types
// are widened to float32 before anything is computed, as in FlashAttention-2's kernel.
//
// A task is one head of one sequence: none of these splits a head between threads.
#include "attention.h"

static const float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;

enum { QUERIES = 96, KEYS = 96 };

typedef struct {
  const apus_attention_shape *shape;
  const apus_attention_element *element;
  apus_element type;
  void *o;
  float *lse;
  const void *q, *k, *v;
  char *slots;
  int64_t slot_bytes, padded;
} rung_work;

// One head: its first row of each tensor, and where its statistics go.
typedef struct {
  const void *q, *k, *v;
  void *o;
  float *lse;
} rung_head;

static rung_head head_of(const rung_work *w, int64_t index) {
  const apus_attention_shape *s = w->shape;
  const int64_t head = index % s->Hq, kv = head / (s->Hq / s->Hkv), token = index / s->Hq * s->S;
  const apus_attention_element *e = w->element;
  return (rung_head){
      .q = apus_attention_at(e, w->q, token * s->q_stride + head * s->headSize),
      .k = apus_attention_at(e, w->k, token * s->k_stride + kv * s->headSize),
      .v = apus_attention_at(e, w->v, token * s->v_stride + kv * s->headSize),
      .o = (char *)w->o + (token * s->o_stride + head * s->headSize) * e->bytes,
      .lse = w->lse + head * s->batch * s->S + token};
}

static float *slot(const rung_work *w) { return (float *)(w->slots + apus_thread_slot() * w->slot_bytes); }

// Rows and columns of the S x S matrix: S in whole tiles of 6 and 16.
static int64_t whole_tiles(int64_t S) { return apus_round_up(S, TILE_ROWS * PANEL); }

// The head's queries, keys and values are widened first: what is measured is one number at a time of float32.
static void scalar_head(void *context, int64_t index) {
  const rung_work *w = context;
  const apus_attention_shape *s = w->shape;
  const rung_head h = head_of(w, index);
  const int64_t size = s->headSize, count = s->S * size;
  float *weights = slot(w), *q = weights + whole_tiles(s->S), *k = q + count, *v = k + count, *o = v + count;
  apus_widen_rows(q, size, h.q, s->q_stride, w->type, s->S, size);
  apus_widen_rows(k, size, h.k, s->k_stride, w->type, s->S, size);
  apus_widen_rows(v, size, h.v, s->v_stride, w->type, s->S, size);
  for (int64_t i = 0; i < s->S; i++) {
    float largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j <= i; j++) {
      float score = 0;
#pragma clang loop vectorize(disable)
      for (int64_t d = 0; d < size; d++) score += q[i * size + d] * k[j * size + d];
      weights[j] = score * s->scale;
      largest = weights[j] > largest ? weights[j] : largest;
    }
#pragma clang loop vectorize(disable)
    for (int64_t j = 0; j <= i; j++) {
      weights[j] = expf(weights[j] - largest);
      sum += weights[j];
    }
    for (int64_t d = 0; d < size; d++) {
      float value = 0;
#pragma clang loop vectorize(disable)
      for (int64_t j = 0; j <= i; j++) value += weights[j] * v[j * size + d];
      o[i * size + d] = value / sum;
    }
    h.lse[i] = largest + logf(sum);
  }
  w->element->store(h.o, s->o_stride, o, size, s->S, size, NULL);
}

// c (rows x columns, both padded to the tile) = a b, from panel matrices of `a_rows` and `depth` rows.
APUS_INLINE void multiply(
    float *c, int64_t c_stride, const float *a, int64_t a_rows, const float *b, int64_t rows, int64_t columns,
    int64_t depth) {
  for (int64_t r = 0; r < rows; r += TILE_ROWS) {
    for (int64_t i = 0; i < columns; i += PANEL) {
      apus_multiply_6x16(
          c + r * c_stride + i, c_stride, a + r * PANEL, PANEL, 1, a_rows * PANEL, b + i * depth, depth, 0,
          NULL);
    }
  }
}

APUS_CLONES static void unfused_head(void *context, int64_t index) {
  APUS_FUSED_MATH
  const rung_work *w = context;
  const apus_attention_shape *s = w->shape;
  const apus_attention_element *e = w->element;
  const rung_head h = head_of(w, index);
  const int64_t size = s->headSize, padded = w->padded, n = whole_tiles(s->S), stride = n + SCORE_PADDING;
  float *a = slot(w), *b = a + n * padded, *scores = b + n * padded;
  e->pack(scores, n, h.k, s->k_stride, s->S, size, 1.0f);
  apus_transpose_panels(b, scores, n, padded);
  e->pack(a, n, h.q, s->q_stride, s->S, size, s->scale * LOG2_E);
  multiply(scores, stride, a, n, b, n, n, padded);
  for (int64_t i = 0; i < s->S; i++) {
    float *row = scores + i * stride, largest = -INFINITY;
    for (int64_t j = i + 1; j < n; j++) row[j] = -INFINITY;
    for (int64_t j = 0; j < n; j += PANEL) {
      apus_v16 x = APUS_LOAD16(row + j);
      float top = APUS_MAX16(x);
      largest = top > largest ? top : largest;
    }
    apus_v16 sums = 0;
    for (int64_t j = 0; j < n; j += PANEL) {
      apus_v16 x = APUS_LOAD16(row + j) - largest;
      apus_exp2_16(&x);
      APUS_STORE16(row + j, x);
      sums += x;
    }
    float sum = APUS_SUM16(sums), inverse = 1.0f / sum;
    for (int64_t j = 0; j < n; j += PANEL) APUS_STORE16(row + j, APUS_LOAD16(row + j) * inverse);
    h.lse[i] = (largest + log2f(sum)) * LN_2;
  }
  // a becomes the values, b the output.
  e->pack(a, n, h.v, s->v_stride, s->S, size, 1.0f);
  for (int64_t r = 0; r < n; r += TILE_ROWS) {
    for (int64_t c = 0; c < padded; c += PANEL) {
      apus_multiply_6x16(
          b + r * padded + c, padded, scores + r * stride, stride, 1, 0, a + c * n, s->S, 0, NULL);
    }
  }
  e->store(h.o, s->o_stride, b, padded, s->S, size, NULL);
}

// Algorithm 1 of the paper, lines 10 to 12, for 6 rows: the weights of the tile, scaled so that adding their
// product with the values to `factors` times the old output gives the normalised new output.
APUS_INLINE void normalised_softmax(
    float *scores, int64_t stride, int64_t columns, int64_t valid, float *largest, float *sums,
    float *factors) {
  for (int64_t r = 0; r < TILE_ROWS; r++) {
    float *row = scores + r * stride, top = -INFINITY;
    for (int64_t i = apus_max(0, valid + r); i < columns; i++) row[i] = -INFINITY;
    for (int64_t i = 0; i < columns; i += PANEL) {
      apus_v16 x = APUS_LOAD16(row + i);
      float here = APUS_MAX16(x);
      top = here > top ? here : top;
    }
    const float before = largest[r], now = top > before ? top : before;
    apus_v16 partial = 0, decay = before - now;
    for (int64_t i = 0; i < columns; i += PANEL) {
      apus_v16 x = APUS_LOAD16(row + i) - now;
      apus_exp2_16(&x);
      APUS_STORE16(row + i, x);
      partial += x;
    }
    apus_exp2_16(&decay);
    const float old = sums[r] * decay[0], sum = old + APUS_SUM16(partial), inverse = 1.0f / sum;
    for (int64_t i = 0; i < columns; i += PANEL) APUS_STORE16(row + i, APUS_LOAD16(row + i) * inverse);
    factors[r] = old * inverse;
    sums[r] = sum;
    largest[r] = now;
  }
}

APUS_CLONES static void flash1_head(void *context, int64_t index) {
  const rung_work *w = context;
  const apus_attention_shape *s = w->shape;
  const apus_attention_element *e = w->element;
  const rung_head h = head_of(w, index);
  const int64_t size = s->headSize, padded = w->padded, n = whole_tiles(s->S), stride = KEYS + SCORE_PADDING;
  float *o = slot(w), *largest = o + n * padded, *sums = largest + n, *q = sums + n;
  float *keys_t = q + QUERIES * padded, *values = keys_t + KEYS * padded, *scores = values + KEYS * padded;
  memset(o, 0, (size_t)(n * padded) * sizeof(float));
  for (int64_t i = 0; i < n; i++) {
    largest[i] = -INFINITY;
    sums[i] = 0;
  }
  for (int64_t key = 0; key < s->S; key += KEYS) {
    const int64_t keys = apus_min(KEYS, s->S - key);
    e->pack(values, KEYS, apus_attention_at(e, h.k, key * s->k_stride), s->k_stride, keys, size, 1.0f);
    apus_transpose_panels(keys_t, values, KEYS, padded);
    e->pack(values, KEYS, apus_attention_at(e, h.v, key * s->v_stride), s->v_stride, keys, size, 1.0f);
    for (int64_t query = key; query < s->S; query += QUERIES) {
      const int64_t rows = apus_min(QUERIES, s->S - query);
      e->pack(q, QUERIES, apus_attention_at(e, h.q, query * s->q_stride), s->q_stride, rows, size, s->scale * LOG2_E);
      for (int64_t row = 0; row < rows; row += TILE_ROWS) {
        const int64_t valid = query + row + 1 - key, visible = apus_min(keys, valid + TILE_ROWS - 1);
        const int64_t columns = apus_round_up(visible, PANEL), at = query + row;
        float factors[TILE_ROWS];
        multiply(scores, stride, q + row * PANEL, QUERIES, keys_t, TILE_ROWS, columns, padded);
        normalised_softmax(scores, stride, columns, valid, largest + at, sums + at, factors);
        for (int64_t c = 0; c < padded; c += PANEL) {
          apus_multiply_6x16(
              o + at * padded + c, padded, scores, stride, 1, 0, values + c * KEYS, visible, 1, factors);
        }
      }
    }
  }
  for (int64_t i = 0; i < s->S; i++) h.lse[i] = (largest[i] + log2f(sums[i])) * LN_2;
  e->store(h.o, s->o_stride, o, padded, s->S, size, NULL);
}

// Bytes of one thread's scratch.
static int64_t slot_bytes(apus_attention_rung rung, const apus_attention_shape *s) {
  const int64_t n = whole_tiles(s->S), padded = apus_round_up(s->headSize, PANEL);
  int64_t floats = n + 4 * s->S * s->headSize;
  // The scores' place also holds the keys before they are transposed.
  if (rung == APUS_ATTENTION_UNFUSED) floats = 2 * n * padded + n * apus_max(n + SCORE_PADDING, padded);
  if (rung == APUS_ATTENTION_FLASH1) {
    floats = n * padded + 2 * n + (QUERIES + 2 * KEYS) * padded + TILE_ROWS * (KEYS + SCORE_PADDING);
  }
  return apus_round_up(floats * (int64_t)sizeof(float), 64);
}

int64_t apus_attention_rung_scratch_bytes(
    apus_attention_rung rung, const apus_attention_shape *shape, int threads) {
  if (rung == APUS_ATTENTION_FLASH2) return apus_attention_forward_scratch_bytes(shape, threads);
  return 64 + threads * slot_bytes(rung, shape);
}

void apus_attention_rung_forward(
    apus_attention_rung rung, apus_element type, const apus_attention_shape *shape, void *o, float *lse,
    const void *q, const void *k, const void *v, void *scratch) {
  const apus_attention_element *element = apus_attention_element_of(type);
  if (rung == APUS_ATTENTION_FLASH2) {
    const apus_attention_forward_call call = {
        .shape = shape, .element = element, .o = o, .lse = lse, .q = q, .k = k, .v = v,
        .k_stride = shape->k_stride, .v_stride = shape->v_stride, .scratch = scratch};
    apus_attention_run_forward(&call, 1);
    return;
  }
  rung_work w = {
      .shape = shape, .element = element, .type = type, .o = o, .lse = lse, .q = q, .k = k, .v = v,
      .slot_bytes = slot_bytes(rung, shape), .padded = apus_round_up(shape->headSize, PANEL),
      .slots = (char *)apus_attention_align(scratch)};
  const apus_task tasks[] = {scalar_head, unfused_head, flash1_head};
  const int64_t heads = shape->batch * shape->Hq;
  apus_for(heads, heads * shape->S * shape->headSize, tasks[rung], &w);
}
