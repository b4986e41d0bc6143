// Causal attention forward: FlashAttention-2 (Dao 2023), algorithm 1. A task is one block of 96 queries of
// one head; it walks over tiles of keys and keeps, for each query, the largest score so far, the sum of
// exponentials and the unnormalised output. Scores are in units of log 2, so that exp becomes 2^x.
//
// Keys and values are packed once, for as many heads at a time as ATTENTION_PACKED_BYTES holds.
#include "attention.h"

static const float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;

// Query rows of a task and keys of a tile; multiples of 6 and 16.
enum { QUERIES = 96, KEYS = 48 };

typedef struct {
  apus_attention_forward_call call;
  float *packed;  // for each head kept, for each tile of keys: keys transposed, then values; or null
  char *slots;
  int64_t slot_bytes, padded, tiles, first_pair, pairs;
} forward_work;

// One thread's scratch: q and a tile of keys or values as panels, the output, scores, statistics, and a tile
// of keys transposed and of values for the form that packs nothing ahead.
typedef struct {
  float *q, *panels, *o, *scores, *largest, *sums, *keys, *values;
} forward_tiles;

static int64_t slot_bytes(int64_t padded) {
  int64_t floats = 2 * QUERIES * padded + 3 * KEYS * padded + TILE_ROWS * (KEYS + SCORE_PADDING) + QUERIES +
                   QUERIES * PANEL;
  return apus_round_up(floats * (int64_t)sizeof(float), 64);
}

static forward_tiles lay_out(const forward_work *w) {
  forward_tiles t;
  t.q = (float *)(w->slots + apus_thread_slot() * w->slot_bytes);
  t.o = t.q + QUERIES * w->padded;
  t.panels = t.o + QUERIES * w->padded;
  t.keys = t.panels + KEYS * w->padded;
  t.values = t.keys + KEYS * w->padded;
  t.sums = t.values + KEYS * w->padded;
  t.scores = t.sums + QUERIES * PANEL;
  t.largest = t.scores + TILE_ROWS * (KEYS + SCORE_PADDING);
  return t;
}

// Scores to weights, for 6 rows. Row r attends to the first valid + r of `columns` (a multiple of 16) keys.
// Updates each row's largest score and its 16 partial sums; gives the factor for what was summed before.
APUS_INLINE void online_softmax(
    float *scores, int64_t stride, int64_t columns, int64_t valid, float *largest, float *sums,
    float *factors) {
  APUS_FUSED_MATH
  apus_v16 decays = 0;
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
    decays[r] = before - now;
    largest[r] = now;
  }
  apus_exp2_16(&decays);
  APUS_STORE16(factors, decays);
  for (int64_t r = 0; r < TILE_ROWS; r++) {
    float *row = scores + r * stride;
    apus_v16 sum = APUS_LOAD16(sums + r * PANEL) * factors[r];
    for (int64_t i = 0; i < columns; i += PANEL) {
      apus_v16 s = APUS_LOAD16(row + i) - largest[r];
      apus_exp2_16(&s);
      APUS_STORE16(row + i, s);
      sum += s;
    }
    APUS_STORE16(sums + r * PANEL, sum);
  }
}

// One tile of keys against the block's queries. `first_valid` keys of the tile are visible to query 0.
APUS_INLINE void attend_tile(
    const forward_tiles *t, const float *keys_t, const float *values, int64_t padded, int64_t rows,
    int64_t keys, int64_t first_valid, int first_tile) {
  const int64_t stride = KEYS + SCORE_PADDING;
  for (int64_t row = 0; row < rows; row += TILE_ROWS) {
    int64_t valid = first_valid + row, visible = apus_min(keys, valid + TILE_ROWS - 1);
    if (visible <= 0) continue;
    float factors[PANEL];
    for (int64_t i = 0; i < visible; i += PANEL) {
      apus_multiply_6x16(
          t->scores + i, stride, t->q + row * PANEL, PANEL, 1, QUERIES * PANEL, keys_t + i * padded, padded, 0,
          NULL);
    }
    online_softmax(
        t->scores, stride, apus_round_up(visible, PANEL), valid, t->largest + row, t->sums + row * PANEL,
        factors);
    for (int64_t c = 0; c < padded; c += PANEL) {
      float *o = t->o + row * padded + c;
      const float *panel = values + c * KEYS;
      if (first_tile) {
        apus_multiply_6x16(o, padded, t->scores, stride, 1, 0, panel, visible, 0, NULL);
      } else {
        apus_multiply_6x16(o, padded, t->scores, stride, 1, 0, panel, visible, 1, factors);
      }
    }
  }
}

// Packs the tile of keys that starts at `key`, of the key-value head `pair` (counted over all sequences).
APUS_INLINE void pack_tile(
    const forward_work *w, const forward_tiles *t, float *keys_t, float *values, int64_t pair, int64_t key,
    int64_t count) {
  const apus_attention_forward_call *call = &w->call;
  const apus_attention_shape *s = call->shape;
  const int64_t token = pair / s->Hkv * s->S + key, column = pair % s->Hkv * s->headSize;
  const void *k = apus_attention_at(call->element, call->k, token * call->k_stride + column);
  const void *v = apus_attention_at(call->element, call->v, token * call->v_stride + column);
  call->element->pack(t->panels, KEYS, k, call->k_stride, count, s->headSize, 1.0f);
  apus_transpose_panels(keys_t, t->panels, KEYS, w->padded);
  call->element->pack(values, KEYS, v, call->v_stride, count, s->headSize, 1.0f);
}

// Task: one tile of keys of one head.
APUS_CLONES static void pack_keys(void *context, int64_t index) {
  const forward_work *w = context;
  const forward_tiles t = lay_out(w);
  const int64_t key = index % w->tiles * KEYS, pair = w->first_pair + index / w->tiles;
  float *to = w->packed + index * 2 * KEYS * w->padded;
  pack_tile(w, &t, to, to + KEYS * w->padded, pair, key, apus_min(KEYS, w->call.shape->S - key));
}

// Task: a query block, counted from the last (the longest goes first), and a head of those that are kept.
APUS_CLONES static void forward_block(void *context, int64_t index) {
  APUS_FUSED_MATH
  const forward_work *w = context;
  const apus_attention_forward_call *call = &w->call;
  const apus_attention_shape *shape = call->shape;
  const int64_t S = shape->S, size = shape->headSize, group = shape->Hq / shape->Hkv, padded = w->padded;
  const int64_t blocks = apus_ceil_div(S, QUERIES), heads = w->pairs * group;
  const int64_t first = (blocks - 1 - index / heads) * QUERIES, kept = index % heads / group;
  const int64_t pair = w->first_pair + kept, sequence = pair / shape->Hkv;
  const int64_t head = pair % shape->Hkv * group + index % group, token = sequence * S + first;
  const int64_t rows = apus_min(QUERIES, S - first);
  const forward_tiles t = lay_out(w);

  call->element->pack(
      t.q, QUERIES, apus_attention_at(call->element, call->q, token * shape->q_stride + head * size),
      shape->q_stride, rows, size, shape->scale * LOG2_E);
  for (int64_t i = 0; i < QUERIES; i++) t.largest[i] = -INFINITY;
  memset(t.sums, 0, QUERIES * PANEL * sizeof(float));

  const int64_t last_key = call->start + first + rows;
  for (int64_t key = 0; key < last_key; key += KEYS) {
    const int64_t keys = apus_min(KEYS, last_key - key);
    const float *keys_t = t.keys, *values = t.values;
    if (w->packed) {
      keys_t = w->packed + (kept * w->tiles + key / KEYS) * 2 * KEYS * padded;
      values = keys_t + KEYS * padded;
    } else {
      pack_tile(w, &t, t.keys, t.values, pair, key, keys);
    }
    attend_tile(&t, keys_t, values, padded, rows, keys, call->start + first + 1 - key, key == 0);
  }

  const int64_t saved = head * shape->batch * S + token;
  for (int64_t r = 0; r < rows; r++) {
    float sum = apus_sum_lanes(t.sums + r * PANEL);
    t.sums[r] = 1.0f / sum;
    if (call->lse) call->lse[saved + r] = (t.largest[r] + log2f(sum)) * LN_2;
  }
  void *o = (void *)apus_attention_at(call->element, call->o, token * shape->o_stride + head * size);
  call->element->store(o, shape->o_stride, t.o, padded, rows, size, t.sums);
}

static int64_t packed_head_bytes(const apus_attention_shape *s, int64_t padded) {
  return apus_ceil_div(s->S, KEYS) * 2 * KEYS * padded * (int64_t)sizeof(float);
}

int64_t apus_attention_forward_scratch_bytes(const apus_attention_shape *s, int threads) {
  const int64_t padded = apus_round_up(s->headSize, PANEL), head = packed_head_bytes(s, padded);
  return 64 + threads * slot_bytes(padded) + apus_attention_heads_at_once(s->batch * s->Hkv, head) * head;
}

void apus_attention_run_forward(const apus_attention_forward_call *call, int packs) {
  const apus_attention_shape *s = call->shape;
  const int64_t padded = apus_round_up(s->headSize, PANEL), head_bytes = packed_head_bytes(s, padded);
  const int64_t pairs = s->batch * s->Hkv, blocks = apus_ceil_div(s->S, QUERIES);
  const int64_t at_once = packs ? apus_attention_heads_at_once(pairs, head_bytes) : pairs;
  forward_work w = {
      .call = *call, .slot_bytes = slot_bytes(padded), .padded = padded, .tiles = apus_ceil_div(s->S, KEYS)};
  w.slots = (char *)apus_attention_align(call->scratch);
  if (packs) w.packed = (float *)(w.slots + apus_thread_count() * w.slot_bytes);
  for (; w.first_pair < pairs; w.first_pair += at_once) {
    w.pairs = apus_min(at_once, pairs - w.first_pair);
    const int64_t heads = w.pairs * (s->Hq / s->Hkv), elements = heads * s->S * s->headSize;
    if (packs) apus_for(w.pairs * w.tiles, w.pairs * s->S * s->headSize, pack_keys, &w);
    apus_for(heads * blocks, elements * apus_min(s->S + call->start, KEYS) / 4, forward_block, &w);
  }
}
