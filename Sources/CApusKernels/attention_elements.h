// Body of attention_elements.c, once an element type.
APUS_CLONES static void APUS_OF(pack_panels)(
    float *panels, int64_t panel_rows, const void *x, int64_t stride, int64_t rows, int64_t size,
    float factor) {
  for (int64_t first = 0; first < size; first += PANEL) {
    float *panel = panels + first * panel_rows;
    const APUS_ELEMENT *from = (const APUS_ELEMENT *)x + first;
    if (size - first >= PANEL) {
      for (int64_t r = 0; r < rows; r++) APUS_STORE16(panel + r * PANEL, APUS_LOAD(from + r * stride) * factor);
    } else {
      for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < PANEL; i++) {
          panel[r * PANEL + i] = i < size - first ? APUS_WIDEN(from[r * stride + i]) * factor : 0;
        }
      }
    }
    memset(panel + rows * PANEL, 0, (size_t)((panel_rows - rows) * PANEL) * sizeof(float));
  }
}

APUS_CLONES static void APUS_OF(store_rows)(
    void *out, int64_t stride, const float *x, int64_t x_stride, int64_t rows, int64_t size,
    const float *factors) {
  for (int64_t r = 0; r < rows; r++) {
    APUS_ELEMENT *to = (APUS_ELEMENT *)out + r * stride;
    const float *from = x + r * x_stride, factor = factors ? factors[r] : 1.0f;
    APUS_ELEMENTWISE
    for (int64_t i = 0; i < size; i++) to[i] = APUS_ROUND(from[i] * factor);
  }
}

APUS_CLONES static void APUS_OF(head_dots)(
    float *out, const void *a, int64_t a_stride, const void *b, int64_t b_stride, int64_t rows, int64_t size) {
  APUS_FAST_MATH
  for (int64_t r = 0; r < rows; r++) {
    const APUS_ELEMENT *x = (const APUS_ELEMENT *)a + r * a_stride;
    const APUS_ELEMENT *y = (const APUS_ELEMENT *)b + r * b_stride;
    float sum = 0;
    for (int64_t i = 0; i < size; i++) sum += APUS_WIDEN(x[i]) * APUS_WIDEN(y[i]);
    out[r] = sum;
  }
}

int64_t APUS_OF(attention_scratch_bytes)(const apus_attention_shape *shape, int threads, int backward) {
  return backward ? apus_attention_backward_scratch_bytes(shape, threads)
                  : apus_attention_forward_scratch_bytes(shape, threads);
}

void APUS_OF(attention_forward)(
    const apus_attention_shape *shape, APUS_ELEMENT *o, float *lse, const APUS_ELEMENT *q,
    const APUS_ELEMENT *k, const APUS_ELEMENT *v, void *scratch) {
  const apus_attention_forward_call call = {
      .shape = shape, .element = apus_attention_element_of(APUS_TYPE), .o = o, .lse = lse, .q = q, .k = k,
      .v = v, .k_stride = shape->k_stride, .v_stride = shape->v_stride, .scratch = scratch};
  apus_attention_run_forward(&call, 1);
}

void APUS_OF(attention_backward)(
    const apus_attention_shape *shape, APUS_ELEMENT *dq, APUS_ELEMENT *dk, APUS_ELEMENT *dv,
    const APUS_ELEMENT *d_o, const APUS_ELEMENT *o, const float *lse, float *dot, const APUS_ELEMENT *q,
    const APUS_ELEMENT *k, const APUS_ELEMENT *v, void *scratch) {
  const apus_attention_backward_call call = {
      .shape = shape, .element = apus_attention_element_of(APUS_TYPE), .dq = dq, .dk = dk, .dv = dv,
      .dot = dot, .d_o = d_o, .o = o, .lse = lse, .q = q, .k = k, .v = v, .scratch = scratch};
  apus_attention_run_backward(&call);
}
