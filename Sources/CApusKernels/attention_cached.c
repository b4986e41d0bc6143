// Attention of new rows over a cache of keys and values, for generation.
//
// Many rows run through the forward tiles. Few rows are bound by reading the cache: a task is one key-value
// head, and each chunk of its keys is read once for all rows and all heads that share it.
#include "attention.h"

static const float LOG2_E = 1.44269504f;

// Rows from which the tiled form is used; keys of one chunk; queries that one task keeps.
enum { TILED_ROWS = 6, CHUNK = 128, QUERIES = FORWARD_QUERIES };

typedef struct {
  const apus_attention_shape *shape;
  float *o;
  const float *q, *k, *v;
  int64_t rows, start;
  char *scratch;
  int64_t thread_bytes;
} cached_work;

APUS_INLINE float dot_product(const float *a, const float *b, int64_t n) {
  APUS_FAST_MATH
  float sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

// o += sum over count keys of weights[j] * v[j], four keys at a time.
APUS_INLINE void add_values(
    float *o, const float *weights, const float *v, int64_t stride, int64_t count, int64_t size) {
  APUS_FUSED_MATH
  int64_t j = 0;
  for (; j + 4 <= count; j += 4) {
    const float *a = v + j * stride, *b = a + stride, *c = b + stride, *d = c + stride;
    const float wa = weights[j], wb = weights[j + 1], wc = weights[j + 2], wd = weights[j + 3];
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < size; i++) o[i] = o[i] + wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
  }
  for (; j < count; j++) {
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < size; i++) o[i] += weights[j] * v[j * stride + i];
  }
}

// One query against `count` <= 128 keys; updates its running largest score, sum and output.
APUS_INLINE void attend_chunk(
    const float *q, float scale, const float *k, const float *v, int64_t stride, int64_t count, int64_t size,
    float *o, float *largest, float *sum) {
  float weights[CHUNK];
  float top = *largest;
  for (int64_t j = 0; j < count; j++) {
    weights[j] = scale * dot_product(q, k + j * stride, size);
    top = weights[j] > top ? weights[j] : top;
  }
  for (int64_t j = count; j < apus_round_up(count, PANEL); j++) weights[j] = -INFINITY;
  apus_v16 decay = *largest - top, sums = 0;
  apus_exp2_16(&decay);
  for (int64_t j = 0; j < count; j += PANEL) {
    apus_v16 e = APUS_LOAD16(weights + j) - top;
    apus_exp2_16(&e);
    APUS_STORE16(weights + j, e);
    sums += e;
  }
  *sum = *sum * decay[0] + APUS_SUM16(sums);
  *largest = top;
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < size; i++) o[i] *= decay[0];
  add_values(o, weights, v, stride, count, size);
}

// Task: one key-value head.
APUS_CLONES static void attend_head(void *context, int64_t kv_head) {
  const cached_work *w = context;
  const apus_attention_shape *s = w->shape;
  const int64_t size = s->headSize, group = s->Hq / s->Hkv, width = s->Hkv * size;
  const float *k = w->k + kv_head * size, *v = w->v + kv_head * size;
  float *o = apus_attention_slot(w->scratch, w->thread_bytes);
  float largest[QUERIES], sums[QUERIES];
  // A query is a pair (row, head of the group).
  for (int64_t first = 0; first < w->rows * group; first += QUERIES) {
    int64_t count = apus_min(QUERIES, w->rows * group - first);
    memset(o, 0, (size_t)(count * size) * sizeof(float));
    for (int64_t i = 0; i < count; i++) {
      largest[i] = -INFINITY;
      sums[i] = 0;
    }
    for (int64_t key = 0; key < w->start + w->rows; key += CHUNK) {
      for (int64_t i = 0; i < count; i++) {
        int64_t row = (first + i) / group, head = kv_head * group + (first + i) % group;
        int64_t keys = apus_min(CHUNK, w->start + row + 1 - key);
        if (keys <= 0) continue;
        attend_chunk(
            w->q + row * s->q_stride + head * size, s->scale * LOG2_E, k + key * width, v + key * width,
            width, keys, size, o + i * size, largest + i, sums + i);
      }
    }
    for (int64_t i = 0; i < count; i++) {
      int64_t row = (first + i) / group, head = kv_head * group + (first + i) % group;
      float *to = w->o + row * s->o_stride + head * size, inverse = 1.0f / sums[i];
      for (int64_t d = 0; d < size; d++) to[d] = o[i * size + d] * inverse;
    }
  }
}

void apus_attention_cached_f32(
    const apus_attention_shape *shape, float *o, const float *q, const float *k, const float *v,
    float *k_cache, float *v_cache, int64_t start, void *scratch) {
  const int64_t rows = shape->batch * shape->S, width = shape->Hkv * shape->headSize;
  const int64_t thread_bytes = apus_attention_forward_thread_bytes(shape);
  for (int64_t t = 0; t < rows; t++) {
    memcpy(k_cache + (start + t) * width, k + t * shape->k_stride, (size_t)width * sizeof(float));
    memcpy(v_cache + (start + t) * width, v + t * shape->v_stride, (size_t)width * sizeof(float));
  }
  if (rows >= TILED_ROWS) {
    apus_attention_shape one_sequence = *shape;
    one_sequence.batch = 1;
    one_sequence.S = rows;
    apus_attention_forward_work work = {
        .shape = &one_sequence, .o = o, .q = q, .k = k_cache, .v = v_cache, .k_stride = width,
        .v_stride = width, .start = start, .scratch = scratch, .thread_bytes = thread_bytes};
    apus_attention_run_forward(&work);
    return;
  }
  cached_work work = {
      .shape = shape, .o = o, .q = q, .k = k_cache, .v = v_cache, .rows = rows, .start = start,
      .scratch = scratch, .thread_bytes = thread_bytes};
  apus_for(shape->Hkv, rows * shape->Hq * shape->headSize * (start + rows) / 4, attend_head, &work);
}
