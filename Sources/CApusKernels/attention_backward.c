// Causal attention backward: FlashAttention-2 (Dao 2023), algorithm 2, without atomic additions.
//
// A task is one tile of keys of one key-value head: it walks over the query blocks of the heads that share
// it, recomputes the weights P from the saved lse, and forms
//   dV += P' dO,  dP = dO V',  dS = P (dP - dot) scale,  dK += dS' Q,  dQ += dS K.
// Tiles of one head run side by side: a tile waits, before it adds to the dQ of a block, until the tile in
// front of it has. So dQ is summed in the order of the keys on any number of threads, one head keeps all
// threads busy, and nothing is computed twice. Tasks start in order, each waits only for an earlier one.
#include <sched.h>
#include <stdatomic.h>

#include "attention.h"

static const float LOG2_E = 1.44269504f;

typedef struct {
  apus_attention_backward_call call;
  // For each head kept, for each query block: q and do as panels, the sums of dQ as rows, and how many tiles
  // of keys have added to them.
  float *q, *d_o, *dq;
  _Atomic int32_t *done;
  char *slots;
  int64_t slot_bytes, edge, padded, blocks, first_pair, pairs;
} backward_work;

// Queries and keys of a square tile: what keeps one thread's scratch in the second-level cache.
static int64_t tile_edge(const apus_attention_shape *shape) { return shape->headSize <= 64 ? 96 : 48; }

// One thread's scratch. edge x padded: keys and values transposed, keys as panels, dk, dv.
// edge x (edge + 16): P and dS.
typedef struct {
  float *keys_t, *values_t, *keys, *dk, *dv, *p, *ds;
} backward_tiles;

static int64_t slot_bytes(int64_t edge, int64_t padded) {
  int64_t floats = 5 * edge * padded + 2 * edge * (edge + SCORE_PADDING);
  return apus_round_up(floats * (int64_t)sizeof(float), 64);
}

static backward_tiles lay_out(const backward_work *w) {
  backward_tiles t;
  float **tiles[] = {&t.keys_t, &t.values_t, &t.keys, &t.dk, &t.dv, &t.p};
  float *next = (float *)(w->slots + apus_thread_slot() * w->slot_bytes);
  for (int i = 0; i < 6; i++, next += w->edge * w->padded) *tiles[i] = next;
  t.ds = t.p + w->edge * (w->edge + SCORE_PADDING);
  return t;
}

// A block of queries of one head, and a tile of keys of its key-value head, both of one sequence. `block`
// counts the blocks of all heads that are kept.
typedef struct {
  int64_t sequence, head, block, query, rows, key, keys;
} tile_place;

// P and dS of the tile, in place of the products q k' and do v'. Row i sees the first query + i + 1 - key
// keys; the rest of the tile is 0.
APUS_INLINE void weights_and_their_gradient(
    const backward_work *w, const backward_tiles *t, const tile_place *at) {
  APUS_FUSED_MATH
  const apus_attention_shape *s = w->call.shape;
  const int64_t stride = w->edge + SCORE_PADDING, padded = w->padded, jump = w->edge * PANEL;
  const int64_t saved = at->head * s->batch * s->S + at->sequence * s->S + at->query;
  const float *q = w->q + at->block * w->edge * padded, *d_o = w->d_o + at->block * w->edge * padded;
  const float scale = s->scale, exponent_scale = s->scale * LOG2_E;
  for (int64_t row = 0; row < at->rows; row += TILE_ROWS) {
    int64_t visible = apus_min(at->keys, at->query + row + TILE_ROWS - at->key);
    int64_t columns = visible > 0 ? apus_round_up(visible, PANEL) : 0;
    float *p = t->p + row * stride, *ds = t->ds + row * stride;
    for (int64_t i = 0; i < columns; i += PANEL) {
      apus_multiply_6x16(
          p + i, stride, q + row * PANEL, PANEL, 1, jump, t->keys_t + i * padded, padded, 0, NULL);
      apus_multiply_6x16(
          ds + i, stride, d_o + row * PANEL, PANEL, 1, jump, t->values_t + i * padded, padded, 0, NULL);
    }
    for (int64_t r = 0; r < TILE_ROWS; r++, p += stride, ds += stride) {
      int64_t seen = row + r < at->rows ? at->query + row + r + 1 - at->key : 0;
      int64_t valid = apus_max(0, apus_min(at->keys, seen));
      int64_t filled = valid > 0 ? apus_round_up(valid, PANEL) : 0;
      float shift = filled > 0 ? w->call.lse[saved + row + r] * LOG2_E : 0;
      float dot = filled > 0 ? w->call.dot[saved + row + r] : 0;
      for (int64_t i = 0; i < filled; i += PANEL) {
        apus_v16 e = APUS_LOAD16(p + i) * exponent_scale - shift;
        apus_exp2_16(&e);
        APUS_STORE16(p + i, e);
        APUS_STORE16(ds + i, e * (APUS_LOAD16(ds + i) - dot) * scale);
      }
      if (valid < w->edge) {
        memset(p + valid, 0, (size_t)(w->edge - valid) * sizeof(float));
        memset(ds + valid, 0, (size_t)(w->edge - valid) * sizeof(float));
      }
    }
  }
}

// dv += P' do and dk += dS' q, for keys of which some query of the block sees one.
APUS_INLINE void accumulate_keys(const backward_work *w, const backward_tiles *t, const tile_place *at) {
  const int64_t stride = w->edge + SCORE_PADDING, padded = w->padded;
  const float *q = w->q + at->block * w->edge * padded, *d_o = w->d_o + at->block * w->edge * padded;
  for (int64_t c = 0; c < padded; c += PANEL) {
    for (int64_t key = 0; key < at->keys; key += TILE_ROWS) {
      int64_t first = apus_max(0, at->key + key - at->query), count = at->rows - first;
      if (count <= 0) break;
      int64_t from = first * stride + key, panel = c * w->edge + first * PANEL, to = key * padded + c;
      apus_multiply_6x16(t->dv + to, padded, t->p + from, 1, stride, 0, d_o + panel, count, 1, NULL);
      apus_multiply_6x16(t->dk + to, padded, t->ds + from, 1, stride, 0, q + panel, count, 1, NULL);
    }
  }
}

// dq (+)= dS k; the first tile of keys overwrites.
APUS_INLINE void accumulate_queries(const backward_work *w, const backward_tiles *t, const tile_place *at) {
  const int64_t stride = w->edge + SCORE_PADDING, padded = w->padded;
  float *dq = w->dq + at->block * w->edge * padded;
  for (int64_t row = 0; row < at->rows; row += TILE_ROWS) {
    int64_t visible = apus_min(at->keys, at->query + row + TILE_ROWS - at->key);
    if (visible <= 0) continue;
    for (int64_t c = 0; c < padded; c += PANEL) {
      float *to = dq + row * padded + c;
      const float *ds = t->ds + row * stride, *panel = t->keys + c * w->edge;
      if (at->key > 0) {
        apus_multiply_6x16(to, padded, ds, stride, 1, 0, panel, visible, 1, NULL);
      } else {
        apus_multiply_6x16(to, padded, ds, stride, 1, 0, panel, visible, 0, NULL);
      }
    }
  }
}

// Waits until `tiles` tiles have added to a block's dq. The wait is short: the tile in front started earlier.
static void wait_for(_Atomic int32_t *done, int32_t tiles) {
  for (int spins = 0; atomic_load_explicit(done, memory_order_acquire) < tiles; spins++) {
    if (spins > 256) sched_yield();
  }
}

APUS_INLINE void pack_keys(
    const backward_work *w, const backward_tiles *t, int64_t token, int64_t column, int64_t keys) {
  const apus_attention_backward_call *call = &w->call;
  const apus_attention_shape *s = call->shape;
  const void *k = apus_attention_at(call->element, call->k, token * s->k_stride + column);
  const void *v = apus_attention_at(call->element, call->v, token * s->v_stride + column);
  // dv is free until the tile begins.
  call->element->pack(t->dv, w->edge, v, s->v_stride, keys, s->headSize, 1.0f);
  apus_transpose_panels(t->values_t, t->dv, w->edge, w->padded);
  call->element->pack(t->keys, w->edge, k, s->k_stride, keys, s->headSize, 1.0f);
  apus_transpose_panels(t->keys_t, t->keys, w->edge, w->padded);
}

// Task: a tile of keys of one key-value head; the first tiles have most queries and go first.
APUS_CLONES static void backward_tile(void *context, int64_t index) {
  const backward_work *w = context;
  const apus_attention_backward_call *call = &w->call;
  const apus_attention_shape *s = call->shape;
  const int64_t tile = index / w->pairs, kept = index % w->pairs, pair = w->first_pair + kept;
  const int64_t group = s->Hq / s->Hkv, kv_head = pair % s->Hkv, padded = w->padded;
  const backward_tiles t = lay_out(w);
  tile_place at = {.sequence = pair / s->Hkv, .key = tile * w->edge};
  at.keys = apus_min(w->edge, s->S - at.key);
  const int64_t token = at.sequence * s->S + at.key, column = kv_head * s->headSize;
  pack_keys(w, &t, token, column, at.keys);
  memset(t.dk, 0, (size_t)(w->edge * padded) * sizeof(float));
  memset(t.dv, 0, (size_t)(w->edge * padded) * sizeof(float));
  for (int64_t i = 0; i < group; i++) {
    at.head = kv_head * group + i;
    for (at.query = at.key; at.query < s->S; at.query += w->edge) {
      at.rows = apus_min(w->edge, s->S - at.query);
      at.block = (kept * group + i) * w->blocks + at.query / w->edge;
      weights_and_their_gradient(w, &t, &at);
      accumulate_keys(w, &t, &at);
      wait_for(w->done + at.block, (int32_t)tile);
      accumulate_queries(w, &t, &at);
      atomic_store_explicit(w->done + at.block, (int32_t)tile + 1, memory_order_release);
    }
  }
  void *dk = (void *)apus_attention_at(call->element, call->dk, token * s->dk_stride + column);
  void *dv = (void *)apus_attention_at(call->element, call->dv, token * s->dv_stride + column);
  call->element->store(dk, s->dk_stride, t.dk, padded, at.keys, s->headSize, NULL);
  call->element->store(dv, s->dv_stride, t.dv, padded, at.keys, s->headSize, NULL);
}

// Where block `index` of the heads that are kept lies.
APUS_INLINE tile_place place_of_block(const backward_work *w, int64_t index) {
  const apus_attention_shape *s = w->call.shape;
  const int64_t group = s->Hq / s->Hkv, kept = index / w->blocks, pair = w->first_pair + kept / group;
  tile_place at = {.sequence = pair / s->Hkv, .block = index, .query = index % w->blocks * w->edge};
  at.head = pair % s->Hkv * group + kept % group;
  at.rows = apus_min(w->edge, s->S - at.query);
  return at;
}

// Task: packs one query block, and sums do * o over its rows.
APUS_CLONES static void prepare_block(void *context, int64_t index) {
  const backward_work *w = context;
  const apus_attention_backward_call *call = &w->call;
  const apus_attention_element *e = call->element;
  const apus_attention_shape *s = call->shape;
  const tile_place at = place_of_block(w, index);
  const int64_t token = at.sequence * s->S + at.query, column = at.head * s->headSize;
  const void *q = apus_attention_at(e, call->q, token * s->q_stride + column);
  const void *d_o = apus_attention_at(e, call->d_o, token * s->do_stride + column);
  const void *o = apus_attention_at(e, call->o, token * s->o_stride + column);
  e->pack(w->q + index * w->edge * w->padded, w->edge, q, s->q_stride, at.rows, s->headSize, 1.0f);
  e->pack(w->d_o + index * w->edge * w->padded, w->edge, d_o, s->do_stride, at.rows, s->headSize, 1.0f);
  float *dot = call->dot + at.head * s->batch * s->S + token;
  e->dot(dot, d_o, s->do_stride, o, s->o_stride, at.rows, s->headSize);
  atomic_store_explicit(w->done + index, 0, memory_order_relaxed);
}

// Task: rounds the dq of one query block.
APUS_CLONES static void store_block(void *context, int64_t index) {
  const backward_work *w = context;
  const apus_attention_backward_call *call = &w->call;
  const apus_attention_shape *s = call->shape;
  const tile_place at = place_of_block(w, index);
  const int64_t token = at.sequence * s->S + at.query;
  void *dq = (void *)apus_attention_at(call->element, call->dq, token * s->dq_stride + at.head * s->headSize);
  call->element->store(
      dq, s->dq_stride, w->dq + index * w->edge * w->padded, w->padded, at.rows, s->headSize, NULL);
}

// Packed bytes of the query heads of one key-value head.
static int64_t kept_bytes(const apus_attention_shape *s, int64_t edge, int64_t padded) {
  const int64_t blocks = s->Hq / s->Hkv * apus_ceil_div(s->S, edge);
  return blocks * (3 * edge * padded * (int64_t)sizeof(float) + 64);
}

int64_t apus_attention_backward_scratch_bytes(const apus_attention_shape *s, int threads) {
  const int64_t edge = tile_edge(s), padded = apus_round_up(s->headSize, PANEL);
  const int64_t head = kept_bytes(s, edge, padded), kept = apus_attention_heads_at_once(s->batch * s->Hkv, head);
  return 64 + threads * slot_bytes(edge, padded) + kept * head;
}

void apus_attention_run_backward(const apus_attention_backward_call *call) {
  const apus_attention_shape *s = call->shape;
  backward_work w = {.call = *call, .edge = tile_edge(s), .padded = apus_round_up(s->headSize, PANEL)};
  w.slot_bytes = slot_bytes(w.edge, w.padded);
  w.slots = (char *)apus_attention_align(call->scratch);
  w.blocks = apus_ceil_div(s->S, w.edge);
  const int64_t pairs = s->batch * s->Hkv, group = s->Hq / s->Hkv;
  const int64_t at_once = apus_attention_heads_at_once(pairs, kept_bytes(s, w.edge, w.padded));
  const int64_t floats = at_once * group * w.blocks * w.edge * w.padded;
  w.q = (float *)(w.slots + apus_thread_count() * w.slot_bytes);
  w.d_o = w.q + floats;
  w.dq = w.d_o + floats;
  w.done = (_Atomic int32_t *)(w.dq + floats);
  for (; w.first_pair < pairs; w.first_pair += at_once) {
    w.pairs = apus_min(at_once, pairs - w.first_pair);
    const int64_t blocks = w.pairs * group * w.blocks, elements = w.pairs * group * s->S * s->headSize;
    apus_for(blocks, elements, prepare_block, &w);
    apus_for(w.pairs * w.blocks, elements * apus_min(s->S, w.edge) / 2, backward_tile, &w);
    apus_for(blocks, elements, store_block, &w);
  }
}
