// Causal attention backward: FlashAttention-2 (Dao 2023), algorithm 2, without atomics.
//
// A task is one key-value head of one sequence: for each tile of keys it walks over the query blocks of the
// heads that share it, recomputes the weights P from the saved lse, and forms
//   dV += P' dO,  dP = dO V',  dS = P (dP - dot) scale,  dK += dS' Q,  dQ += dS K.
// Where such tasks are too few for the threads, two passes run instead, one task a tile of keys (dK, dV) and
// one task a query block (dQ): two more products of seven, the same sums in the same order.
#include "attention.h"

static const float LOG2_E = 1.44269504f;

typedef struct {
  const apus_attention_shape *shape;
  float *dq, *dk, *dv, *dot;
  const float *d_o, *o, *lse, *q, *k, *v;
  char *scratch;
  int64_t thread_bytes, edge, padded;
} backward_work;

// Queries and keys of a square tile: what keeps one thread's scratch in the second-level cache.
static int64_t tile_edge(const apus_attention_shape *shape) { return shape->headSize <= 64 ? 96 : 48; }

// One thread's scratch. edge x padded: the queries and do as rows and as panels, keys and values transposed,
// keys as panels, dk, dv. edge x (edge + 16): P and dS.
typedef struct {
  float *q, *q_panels, *d_o, *do_panels, *keys_t, *values_t, *keys, *dk, *dv, *p, *ds;
} backward_tiles;

static int64_t thread_bytes(const apus_attention_shape *shape) {
  int64_t edge = tile_edge(shape), padded = apus_round_up(shape->headSize, PANEL);
  int64_t floats = 9 * edge * padded + 2 * edge * (edge + SCORE_PADDING);
  return apus_round_up(floats * (int64_t)sizeof(float), 64);
}

static backward_tiles lay_out(const backward_work *w) {
  backward_tiles t;
  float **rows[] = {
      &t.q, &t.q_panels, &t.d_o, &t.do_panels, &t.keys_t, &t.values_t, &t.keys, &t.dk, &t.dv, &t.p};
  float *next = apus_attention_slot(w->scratch, w->thread_bytes);
  for (int i = 0; i < 10; i++, next += w->edge * w->padded) *rows[i] = next;
  t.ds = t.p + w->edge * (w->edge + SCORE_PADDING);
  return t;
}

// A block of queries of one head, and a tile of keys of its key-value head, both of one sequence.
typedef struct {
  int64_t sequence, head, kv_head, query, rows, key, keys;
} tile_place;

APUS_INLINE void pack_queries(const backward_work *w, const backward_tiles *t, const tile_place *at) {
  const apus_attention_shape *s = w->shape;
  int64_t token = at->sequence * s->S + at->query, column = at->head * s->headSize;
  int64_t padded_rows = apus_round_up(at->rows, TILE_ROWS);
  const float *q = w->q + token * s->q_stride + column, *d_o = w->d_o + token * s->do_stride + column;
  apus_pack_rows(t->q, w->padded, q, s->q_stride, at->rows, padded_rows, s->headSize, 1.0f);
  apus_pack_rows(t->d_o, w->padded, d_o, s->do_stride, at->rows, padded_rows, s->headSize, 1.0f);
  apus_pack_panels(t->q_panels, w->edge, q, s->q_stride, at->rows, s->headSize);
  apus_pack_panels(t->do_panels, w->edge, d_o, s->do_stride, at->rows, s->headSize);
}

APUS_INLINE void pack_keys(const backward_work *w, const backward_tiles *t, const tile_place *at) {
  const apus_attention_shape *s = w->shape;
  int64_t token = at->sequence * s->S + at->key, column = at->kv_head * s->headSize;
  const float *k = w->k + token * s->k_stride + column, *v = w->v + token * s->v_stride + column;
  apus_pack_transposed(t->keys_t, k, s->k_stride, at->keys, s->headSize);
  apus_pack_transposed(t->values_t, v, s->v_stride, at->keys, s->headSize);
  apus_pack_panels(t->keys, w->edge, k, s->k_stride, at->keys, s->headSize);
}

// P and dS of the tile, in place of the products q k' and do v'. Row i sees the first query + i + 1 - key
// keys; the rest of the tile is 0.
APUS_INLINE void weights_and_their_gradient(
    const backward_work *w, const backward_tiles *t, const tile_place *at) {
  APUS_FUSED_MATH
  const apus_attention_shape *s = w->shape;
  const int64_t stride = w->edge + SCORE_PADDING, size = s->headSize, padded = w->padded;
  const int64_t saved = at->head * s->batch * s->S + at->sequence * s->S + at->query;
  const float scale = s->scale, exponent_scale = s->scale * LOG2_E;
  for (int64_t row = 0; row < at->rows; row += TILE_ROWS) {
    int64_t visible = apus_min(at->keys, at->query + row + TILE_ROWS - at->key);
    int64_t columns = visible > 0 ? apus_round_up(visible, PANEL) : 0;
    float *p = t->p + row * stride, *ds = t->ds + row * stride;
    for (int64_t i = 0; i < columns; i += PANEL) {
      apus_multiply_6x16(p + i, stride, t->q + row * padded, padded, 1, t->keys_t + i * size, size, 0, NULL);
      apus_multiply_6x16(
          ds + i, stride, t->d_o + row * padded, padded, 1, t->values_t + i * size, size, 0, NULL);
    }
    for (int64_t r = 0; r < TILE_ROWS; r++, p += stride, ds += stride) {
      int64_t seen = row + r < at->rows ? at->query + row + r + 1 - at->key : 0;
      int64_t valid = apus_max(0, apus_min(at->keys, seen));
      int64_t filled = valid > 0 ? apus_round_up(valid, PANEL) : 0;
      float shift = filled > 0 ? w->lse[saved + row + r] * LOG2_E : 0;
      float dot = filled > 0 ? w->dot[saved + row + r] : 0;
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
  for (int64_t c = 0; c < padded; c += PANEL) {
    for (int64_t key = 0; key < at->keys; key += TILE_ROWS) {
      int64_t first = apus_max(0, at->key + key - at->query), count = at->rows - first;
      if (count <= 0) break;
      int64_t from = first * stride + key, panel = c * w->edge + first * PANEL, to = key * padded + c;
      apus_multiply_6x16(t->dv + to, padded, t->p + from, 1, stride, t->do_panels + panel, count, 1, NULL);
      apus_multiply_6x16(t->dk + to, padded, t->ds + from, 1, stride, t->q_panels + panel, count, 1, NULL);
    }
  }
}

// dq (+)= dS k, straight into the caller's rows; the first tile of keys overwrites.
APUS_INLINE void accumulate_queries(const backward_work *w, const backward_tiles *t, const tile_place *at) {
  const apus_attention_shape *s = w->shape;
  const int64_t stride = w->edge + SCORE_PADDING, size = s->headSize;
  const int keep = at->key > 0;
  float *dq = w->dq + (at->sequence * s->S + at->query) * s->dq_stride + at->head * size;
  for (int64_t c = 0; c < size; c += PANEL) {
    for (int64_t row = 0; row < at->rows; row += TILE_ROWS) {
      int64_t visible = apus_min(at->keys, at->query + row + TILE_ROWS - at->key);
      if (visible <= 0) continue;
      int64_t rows = apus_min(TILE_ROWS, at->rows - row), columns = apus_min(PANEL, size - c);
      const float *ds = t->ds + row * stride, *panel = t->keys + c * w->edge;
      float *to = dq + row * s->dq_stride + c;
      if (rows == TILE_ROWS && columns == PANEL) {
        apus_multiply_6x16(to, s->dq_stride, ds, stride, 1, panel, visible, keep, NULL);
        continue;
      }
      float edge[TILE_ROWS * PANEL] = {0};
      for (int64_t i = 0; keep && i < rows * columns; i++) {
        edge[i / columns * PANEL + i % columns] = to[i / columns * s->dq_stride + i % columns];
      }
      apus_multiply_6x16(edge, PANEL, ds, stride, 1, panel, visible, 1, NULL);
      for (int64_t i = 0; i < rows * columns; i++) {
        to[i / columns * s->dq_stride + i % columns] = edge[i / columns * PANEL + i % columns];
      }
    }
  }
}

// dk and dv of one tile of keys, over all query blocks that see it and all heads that share it; dq as well
// where `with_queries` is set.
APUS_INLINE void key_tile(
    const backward_work *w, int64_t sequence, int64_t kv_head, int64_t tile, int with_queries) {
  const apus_attention_shape *s = w->shape;
  const int64_t group = s->Hq / s->Hkv, size = s->headSize;
  const backward_tiles t = lay_out(w);
  tile_place at = {.sequence = sequence, .kv_head = kv_head, .key = tile * w->edge};
  at.keys = apus_min(w->edge, s->S - at.key);
  pack_keys(w, &t, &at);
  memset(t.dk, 0, (size_t)(2 * w->edge * w->padded) * sizeof(float));  // dv follows dk
  for (at.head = kv_head * group; at.head < (kv_head + 1) * group; at.head++) {
    for (at.query = at.key; at.query < s->S; at.query += w->edge) {
      at.rows = apus_min(w->edge, s->S - at.query);
      pack_queries(w, &t, &at);
      weights_and_their_gradient(w, &t, &at);
      accumulate_keys(w, &t, &at);
      if (with_queries) accumulate_queries(w, &t, &at);
    }
  }
  for (int64_t r = 0; r < at.keys; r++) {
    int64_t token = sequence * s->S + at.key + r;
    memcpy(w->dk + token * s->dk_stride + kv_head * size, t.dk + r * w->padded, (size_t)size * sizeof(float));
    memcpy(w->dv + token * s->dv_stride + kv_head * size, t.dv + r * w->padded, (size_t)size * sizeof(float));
  }
}

// Task of the one-pass form: one key-value head.
APUS_CLONES static void backward_head(void *context, int64_t index) {
  const backward_work *w = context;
  int64_t tiles = apus_ceil_div(w->shape->S, w->edge);
  for (int64_t tile = 0; tile < tiles; tile++) {
    key_tile(w, index / w->shape->Hkv, index % w->shape->Hkv, tile, 1);
  }
}

// Task of the first of two passes: one tile of keys; the first tiles have most queries and go first.
APUS_CLONES static void backward_keys(void *context, int64_t index) {
  const backward_work *w = context;
  int64_t pairs = w->shape->batch * w->shape->Hkv, pair = index % pairs;
  key_tile(w, pair / w->shape->Hkv, pair % w->shape->Hkv, index / pairs, 0);
}

// Task of the second of two passes: one query block of one head, the longest first.
APUS_CLONES static void backward_queries(void *context, int64_t index) {
  const backward_work *w = context;
  const apus_attention_shape *s = w->shape;
  const backward_tiles t = lay_out(w);
  int64_t pairs = s->batch * s->Hq, pair = index % pairs;
  tile_place at = {.sequence = pair / s->Hq, .head = pair % s->Hq};
  at.kv_head = at.head / (s->Hq / s->Hkv);
  at.query = (apus_ceil_div(s->S, w->edge) - 1 - index / pairs) * w->edge;
  at.rows = apus_min(w->edge, s->S - at.query);
  pack_queries(w, &t, &at);
  for (at.key = 0; at.key <= at.query; at.key += w->edge) {
    at.keys = apus_min(w->edge, s->S - at.key);
    pack_keys(w, &t, &at);
    weights_and_their_gradient(w, &t, &at);
    accumulate_queries(w, &t, &at);
  }
}

enum { DOT_ROWS = 16 };

// dot[h, t] = sum over the head of do * o, for 16 tokens.
APUS_CLONES static void row_sums(void *context, int64_t block) {
  APUS_FAST_MATH
  const backward_work *w = context;
  const apus_attention_shape *s = w->shape;
  int64_t T = s->batch * s->S;
  for (int64_t t = block * DOT_ROWS; t < apus_min(T, (block + 1) * DOT_ROWS); t++) {
    for (int64_t head = 0; head < s->Hq; head++) {
      const float *d_o = w->d_o + t * s->do_stride + head * s->headSize;
      const float *o = w->o + t * s->o_stride + head * s->headSize;
      float sum = 0;
      for (int64_t i = 0; i < s->headSize; i++) sum += d_o[i] * o[i];
      w->dot[head * T + t] = sum;
    }
  }
}

void apus_attention_backward_f32(
    const apus_attention_shape *shape, float *dq, float *dk, float *dv, const float *d_o, const float *o,
    const float *lse, float *dot, const float *q, const float *k, const float *v, void *scratch) {
  backward_work w = {
      .shape = shape, .dq = dq, .dk = dk, .dv = dv, .dot = dot, .d_o = d_o, .o = o, .lse = lse, .q = q,
      .k = k, .v = v, .scratch = scratch, .thread_bytes = thread_bytes(shape), .edge = tile_edge(shape),
      .padded = apus_round_up(shape->headSize, PANEL)};
  int64_t T = shape->batch * shape->S, elements = T * shape->Hq * shape->headSize;
  apus_for(apus_ceil_div(T, DOT_ROWS), elements, row_sums, &w);

  // One pass keeps threads idle while the last heads finish; two passes do 7 products instead of 5.
  int64_t pairs = shape->batch * shape->Hkv, threads = apus_thread_count();
  int64_t tiles = apus_ceil_div(shape->S, w.edge), work = elements * apus_min(shape->S, w.edge) / 2;
  if (apus_ceil_div(pairs, threads) * threads * 5 <= pairs * 7 || tiles == 1) {
    apus_for(pairs, work, backward_head, &w);
  } else {
    apus_for(pairs * tiles, work, backward_keys, &w);
    apus_for(shape->batch * shape->Hq * tiles, work, backward_queries, &w);
  }
}

int64_t apus_attention_scratch_bytes_f32(const apus_attention_shape *shape, int threads, int backward) {
  return 64 + threads * (backward ? thread_bytes(shape) : apus_attention_forward_thread_bytes(shape));
}
