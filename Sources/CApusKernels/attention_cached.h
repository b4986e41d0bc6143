// Body of attention_cached.c, once an element type.
#define WORK APUS_OF(cached_work)
typedef struct {
  const apus_attention_shape *shape;
  APUS_ELEMENT *o;
  const APUS_ELEMENT *q, *k, *v;
  int64_t rows, start;
  float *scratch;
} WORK;

APUS_INLINE float APUS_OF(cached_dot)(const float *a, const APUS_ELEMENT *b, int64_t n) {
  APUS_FAST_MATH
  float sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * APUS_WIDEN(b[i]);
  return sum;
}

// o += sum over count keys of weights[j] * v[j], four keys at a time.
APUS_INLINE void APUS_OF(add_values)(
    float *o, const float *weights, const APUS_ELEMENT *v, int64_t stride, int64_t count, int64_t size) {
  APUS_FUSED_MATH
  int64_t j = 0;
  for (; j + 4 <= count; j += 4) {
    const APUS_ELEMENT *a = v + j * stride, *b = a + stride, *c = b + stride, *d = c + stride;
    const float wa = weights[j], wb = weights[j + 1], wc = weights[j + 2], wd = weights[j + 3];
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < size; i++) {
      o[i] = o[i] + wa * APUS_WIDEN(a[i]) + wb * APUS_WIDEN(b[i]) + wc * APUS_WIDEN(c[i]) + wd * APUS_WIDEN(d[i]);
    }
  }
  for (; j < count; j++) {
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < size; i++) o[i] += weights[j] * APUS_WIDEN(v[j * stride + i]);
  }
}

// One query against `count` <= 128 keys; updates its running largest score, sum and output.
APUS_INLINE void APUS_OF(attend_chunk)(
    const APUS_ELEMENT *query, float scale, const APUS_ELEMENT *k, const APUS_ELEMENT *v, int64_t stride,
    int64_t count, int64_t size, float *o, float *largest, float *sum) {
  float weights[CHUNK], q[LARGEST_HEAD];
  for (int64_t i = 0; i < size; i++) q[i] = APUS_WIDEN(query[i]);
  float top = *largest;
  for (int64_t j = 0; j < count; j++) {
    weights[j] = scale * APUS_OF(cached_dot)(q, k + j * stride, size);
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
  APUS_OF(add_values)(o, weights, v, stride, count, size);
}

// Task: one key-value head.
APUS_CLONES static void APUS_OF(attend_head)(void *context, int64_t kv_head) {
  const WORK *w = context;
  const apus_attention_shape *s = w->shape;
  const int64_t size = s->headSize, group = s->Hq / s->Hkv, width = s->Hkv * size;
  const APUS_ELEMENT *k = w->k + kv_head * size, *v = w->v + kv_head * size;
  float *o = w->scratch + apus_thread_slot() * QUERIES * size;
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
        APUS_OF(attend_chunk)(
            w->q + row * s->q_stride + head * size, s->scale * LOG2_E, k + key * width, v + key * width,
            width, keys, size, o + i * size, largest + i, sums + i);
      }
    }
    for (int64_t i = 0; i < count; i++) {
      int64_t row = (first + i) / group, head = kv_head * group + (first + i) % group;
      APUS_ELEMENT *to = w->o + row * s->o_stride + head * size;
      const float inverse = 1.0f / sums[i];
      for (int64_t d = 0; d < size; d++) to[d] = APUS_ROUND(o[i * size + d] * inverse);
    }
  }
}

void APUS_OF(attention_cached)(
    const apus_attention_shape *shape, APUS_ELEMENT *o, const APUS_ELEMENT *q, const APUS_ELEMENT *k,
    const APUS_ELEMENT *v, APUS_ELEMENT *k_cache, APUS_ELEMENT *v_cache, int64_t start, void *scratch) {
  const int64_t rows = shape->batch * shape->S, width = shape->Hkv * shape->headSize;
  for (int64_t t = 0; t < rows; t++) {
    memcpy(k_cache + (start + t) * width, k + t * shape->k_stride, (size_t)width * sizeof(APUS_ELEMENT));
    memcpy(v_cache + (start + t) * width, v + t * shape->v_stride, (size_t)width * sizeof(APUS_ELEMENT));
  }
  if (rows >= TILED_ROWS) {
    apus_attention_shape one_sequence = *shape;
    one_sequence.batch = 1;
    one_sequence.S = rows;
    const apus_attention_forward_call call = {
        .shape = &one_sequence, .element = apus_attention_element_of(APUS_TYPE), .o = o, .q = q, .k = k_cache,
        .v = v_cache, .k_stride = width, .v_stride = width, .start = start, .scratch = scratch};
    apus_attention_run_forward(&call, 0);
    return;
  }
  WORK work = {
      .shape = shape, .o = o, .q = q, .k = k_cache, .v = v_cache, .rows = rows, .start = start,
      .scratch = apus_attention_align(scratch)};
  apus_for(
      shape->Hkv, rows * shape->Hq * shape->headSize * (start + rows) / 4, APUS_OF(attend_head), &work);
}
#undef WORK
