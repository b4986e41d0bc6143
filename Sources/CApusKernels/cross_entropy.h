// Body of cross_entropy.c, once an element type.
#define WORK APUS_OF(cross_entropy_work)
typedef struct {
  float *losses, *wide;
  APUS_ELEMENT *gradient;
  const APUS_ELEMENT *logits;
  const int32_t *targets;
  int64_t V, stride;
  float scale;
} WORK;

APUS_INLINE float APUS_OF(largest)(const APUS_ELEMENT *x, int64_t n) {
  int64_t i = 0;
  float best = APUS_WIDEN(x[0]);
  if (n >= 64) {
    apus_v16 a = APUS_LOAD(x), b = APUS_LOAD(x + 16), c = APUS_LOAD(x + 32), d = APUS_LOAD(x + 48);
    for (i = 64; i + 64 <= n; i += 64) {
      apus_v16 e = APUS_LOAD(x + i), f = APUS_LOAD(x + i + 16);
      apus_v16 g = APUS_LOAD(x + i + 32), h = APUS_LOAD(x + i + 48);
      a = e > a ? e : a;
      b = f > b ? f : b;
      c = g > c ? g : c;
      d = h > d ? h : d;
    }
    a = b > a ? b : a;
    c = d > c ? d : c;
    a = c > a ? c : a;
    best = APUS_MAX16(a);
  }
  for (; i < n; i++) best = APUS_WIDEN(x[i]) > best ? APUS_WIDEN(x[i]) : best;
  return best;
}

// A NaN among the logits may be passed over by the maximum but not by the sum, so the loss is NaN.
APUS_CLONES static void APUS_OF(cross_entropy_row)(void *context, int64_t t) {
  APUS_FAST_MATH
  const WORK *w = context;
  const APUS_ELEMENT *x = w->logits + t * w->V;
  if (w->targets[t] < 0) {
    w->losses[t] = 0;
    return;
  }
  float maximum = APUS_OF(largest)(x, w->V), sum = 0;
  for (int64_t i = 0; i < w->V; i++) sum += apus_exp(APUS_WIDEN(x[i]) - maximum);
  w->losses[t] = logf(sum) - (APUS_WIDEN(x[w->targets[t]]) - maximum);
}

void APUS_OF(cross_entropy_forward)(
    float *losses, const APUS_ELEMENT *logits, const int32_t *targets, int64_t T, int64_t V) {
  WORK w = {.losses = losses, .logits = logits, .targets = targets, .V = V};
  apus_for(T, T * V, APUS_OF(cross_entropy_row), &w);
}

// Gradient from float32 logits. The exponentials replace the logits; then each is scaled and rounded, from
// the first on: a 16-bit gradient in the same row never overtakes what is still to be read.
APUS_CLONES static void APUS_OF(cross_entropy_gradient_row)(void *context, int64_t t) {
  APUS_FAST_MATH
  const WORK *w = context;
  float *x = w->wide + t * w->V;
  APUS_ELEMENT *gradient = w->gradient + t * w->stride;
  int32_t target = w->targets[t];
  if (target < 0) {
    w->losses[t] = 0;
    memset(gradient, 0, (size_t)w->V * sizeof(APUS_ELEMENT));
    return;
  }
  float maximum = apus_largest_f32(x, w->V), sum = 0, above = x[target] - maximum;
  for (int64_t i = 0; i < w->V; i++) {
    float e = apus_exp(x[i] - maximum);
    x[i] = e;
    sum += e;
  }
  w->losses[t] = logf(sum) - above;
  float factor = w->scale / sum, of_target = x[target] * factor;
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < w->V; i++) gradient[i] = APUS_ROUND(x[i] * factor);
  gradient[target] = APUS_ROUND(of_target - w->scale);
}

void APUS_OF(cross_entropy_gradient)(
    float *losses, APUS_ELEMENT *gradient, int64_t stride, float *logits, const int32_t *targets, int64_t T,
    int64_t V, float scale) {
  WORK w = {
      .losses = losses, .wide = logits, .gradient = gradient, .targets = targets, .V = V, .stride = stride,
      .scale = scale};
  apus_for(T, T * V, APUS_OF(cross_entropy_gradient_row), &w);
}

// Gradient in place of logits of the same type: where 16 bits cannot hold the exponentials, they are
// computed twice.
APUS_CLONES static void APUS_OF(cross_entropy_in_place_row)(void *context, int64_t t) {
  APUS_FAST_MATH
  const WORK *w = context;
  APUS_ELEMENT *x = w->gradient + t * w->V;
  int32_t target = w->targets[t];
  if (target < 0) {
    w->losses[t] = 0;
    memset(x, 0, (size_t)w->V * sizeof(APUS_ELEMENT));
    return;
  }
  float maximum = APUS_OF(largest)(x, w->V), sum = 0, above = APUS_WIDEN(x[target]) - maximum;
  for (int64_t i = 0; i < w->V; i++) sum += apus_exp(APUS_WIDEN(x[i]) - maximum);
  w->losses[t] = logf(sum) - above;
  float factor = w->scale / sum, of_target = apus_exp(above) * factor;
  APUS_ELEMENTWISE
  for (int64_t i = 0; i < w->V; i++) x[i] = APUS_ROUND(apus_exp(APUS_WIDEN(x[i]) - maximum) * factor);
  x[target] = APUS_ROUND(of_target - w->scale);
}

void APUS_OF(cross_entropy_backward)(
    float *losses, APUS_ELEMENT *logits, const int32_t *targets, int64_t T, int64_t V, float scale) {
  if (sizeof(APUS_ELEMENT) == sizeof(float)) {
    apus_cross_entropy_gradient_f32(losses, (float *)logits, V, (float *)logits, targets, T, V, scale);
    return;
  }
  WORK w = {.losses = losses, .gradient = logits, .targets = targets, .V = V, .scale = scale};
  apus_for(T, T * V, APUS_OF(cross_entropy_in_place_row), &w);
}
#undef WORK
