// Causal attention forward: FlashAttention-2 (Dao 2023), algorithm 1. A task is one block of 96 queries of
// one head; it walks over tiles of keys and keeps, for each query, the largest score so far, the sum of
// exponentials and the unnormalised output. Scores are in units of log 2, so that exp becomes 2^x.
#include "attention.h"

static const float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;

// One thread's scratch; the counts stand in apus_attention_forward_thread_bytes.
typedef struct {
  float *q, *o, *keys, *values, *scores, *largest, *sums;
  int64_t padded;
} forward_tiles;

int64_t apus_attention_forward_thread_bytes(const apus_attention_shape *shape) {
  int64_t padded = apus_round_up(shape->headSize, PANEL);
  int64_t floats = 2 * FORWARD_QUERIES * padded + 2 * FORWARD_KEYS * padded +
                   TILE_ROWS * (FORWARD_KEYS + SCORE_PADDING) + FORWARD_QUERIES + FORWARD_QUERIES * PANEL;
  return apus_round_up(floats * (int64_t)sizeof(float), 64);
}

static forward_tiles lay_out(float *scratch, int64_t head_size) {
  forward_tiles t = {.padded = apus_round_up(head_size, PANEL)};
  t.q = scratch;
  t.o = t.q + FORWARD_QUERIES * t.padded;
  t.keys = t.o + FORWARD_QUERIES * t.padded;
  t.values = t.keys + FORWARD_KEYS * t.padded;
  t.sums = t.values + FORWARD_KEYS * t.padded;
  t.scores = t.sums + FORWARD_QUERIES * PANEL;
  t.largest = t.scores + TILE_ROWS * (FORWARD_KEYS + SCORE_PADDING);
  return t;
}

// Scores to weights, for 6 rows. Row r attends to the first valid + r of `columns` (a multiple of 16) keys.
// Updates each row's largest score and its 16 partial sums; gives the factor for what was summed before.
APUS_INLINE void online_softmax(
    float *scores, int64_t stride, int64_t columns, int64_t valid, float *largest, float *sums,
    float *factors) {
  APUS_FUSED_MATH
  for (int64_t r = 0; r < TILE_ROWS; r++) {
    float *row = scores + r * stride;
    for (int64_t i = apus_max(0, valid + r); i < columns; i++) row[i] = -INFINITY;
    apus_v16 top = APUS_LOAD16(row);
    for (int64_t i = PANEL; i < columns; i += PANEL) {
      apus_v16 s = APUS_LOAD16(row + i);
      top = s > top ? s : top;
    }
    float before = largest[r], now = APUS_MAX16(top);
    now = now > before ? now : before;
    apus_v16 decay = before - now;
    apus_exp2_16(&decay);
    apus_v16 sum = APUS_LOAD16(sums + r * PANEL) * decay;
    for (int64_t i = 0; i < columns; i += PANEL) {
      apus_v16 s = APUS_LOAD16(row + i) - now;
      apus_exp2_16(&s);
      APUS_STORE16(row + i, s);
      sum += s;
    }
    APUS_STORE16(sums + r * PANEL, sum);
    largest[r] = now;
    factors[r] = decay[0];
  }
}

// One tile of keys against the block's queries. `first_valid` keys of the tile are visible to query 0.
APUS_INLINE void attend_tile(
    const forward_tiles *t, int64_t head_size, int64_t rows, int64_t keys, int64_t first_valid,
    int first_tile) {
  const int64_t stride = FORWARD_KEYS + SCORE_PADDING, padded = t->padded;
  for (int64_t row = 0; row < rows; row += TILE_ROWS) {
    int64_t valid = first_valid + row, visible = apus_min(keys, valid + TILE_ROWS - 1);
    if (visible <= 0) continue;
    float factors[TILE_ROWS];
    for (int64_t i = 0; i < visible; i += PANEL) {
      apus_multiply_6x16(
          t->scores + i, stride, t->q + row * padded, padded, 1, t->keys + i * head_size, head_size, 0, NULL);
    }
    online_softmax(
        t->scores, stride, apus_round_up(visible, PANEL), valid, t->largest + row, t->sums + row * PANEL,
        factors);
    for (int64_t c = 0; c < padded; c += PANEL) {
      float *o = t->o + row * padded + c;
      const float *panel = t->values + c * FORWARD_KEYS;
      if (first_tile) {
        apus_multiply_6x16(o, padded, t->scores, stride, 1, panel, visible, 0, NULL);
      } else {
        apus_multiply_6x16(o, padded, t->scores, stride, 1, panel, visible, 1, factors);
      }
    }
  }
}

// Task: query block `index / (batch * Hq)` counted from the last (the longest goes first), head and sequence
// from the rest.
APUS_CLONES static void forward_block(void *context, int64_t index) {
  APUS_FUSED_MATH
  const apus_attention_forward_work *w = context;
  const apus_attention_shape *shape = w->shape;
  const int64_t S = shape->S, size = shape->headSize, heads = shape->Hq, T = shape->batch * S;
  const int64_t blocks = apus_ceil_div(S, FORWARD_QUERIES), pairs = shape->batch * heads;
  const int64_t first = (blocks - 1 - index / pairs) * FORWARD_QUERIES;
  const int64_t head = index % pairs % heads, sequence = index % pairs / heads;
  const int64_t kv_column = head / (heads / shape->Hkv) * size, token = sequence * S + first;
  const int64_t rows = apus_min(FORWARD_QUERIES, S - first);
  const float *k = w->k + sequence * S * w->k_stride + kv_column;
  const float *v = w->v + sequence * S * w->v_stride + kv_column;
  forward_tiles t = lay_out(apus_attention_slot(w->scratch, w->thread_bytes), size);

  apus_pack_rows(
      t.q, t.padded, w->q + token * shape->q_stride + head * size, shape->q_stride, rows,
      apus_round_up(rows, TILE_ROWS), size, shape->scale * LOG2_E);
  for (int64_t i = 0; i < FORWARD_QUERIES; i++) t.largest[i] = -INFINITY;
  memset(t.sums, 0, FORWARD_QUERIES * PANEL * sizeof(float));

  const int64_t last_key = w->start + first + rows;
  for (int64_t key = 0; key < last_key; key += FORWARD_KEYS) {
    int64_t keys = apus_min(FORWARD_KEYS, last_key - key);
    apus_pack_transposed(t.keys, k + key * w->k_stride, w->k_stride, keys, size);
    apus_pack_panels(t.values, FORWARD_KEYS, v + key * w->v_stride, w->v_stride, keys, size);
    attend_tile(&t, size, rows, keys, w->start + first + 1 - key, key == 0);
  }

  for (int64_t r = 0; r < rows; r++) {
    float sum = apus_sum_lanes(t.sums + r * PANEL), inverse = 1.0f / sum;
    float *o = w->o + (token + r) * shape->o_stride + head * size;
    const float *from = t.o + r * t.padded;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < size; i++) o[i] = from[i] * inverse;
    if (w->lse) w->lse[head * T + token + r] = (t.largest[r] + log2f(sum)) * LN_2;
  }
}

void apus_attention_run_forward(const apus_attention_forward_work *work) {
  const apus_attention_shape *s = work->shape;
  int64_t tasks = s->batch * s->Hq * apus_ceil_div(s->S, FORWARD_QUERIES);
  int64_t elements = s->batch * s->S * s->Hq * s->headSize;
  apus_for(tasks, elements * apus_min(s->S + work->start, FORWARD_KEYS) / 4, forward_block, (void *)work);
}

void apus_attention_forward_f32(
    const apus_attention_shape *shape, float *o, float *lse, const float *q, const float *k, const float *v,
    void *scratch) {
  apus_attention_forward_work work = {
      .shape = shape, .o = o, .lse = lse, .q = q, .k = k, .v = v, .k_stride = shape->k_stride,
      .v_stride = shape->v_stride, .scratch = scratch,
      .thread_bytes = apus_attention_forward_thread_bytes(shape)};
  apus_attention_run_forward(&work);
}
