// The kernels that exist once for each element type. Included by apus_kernels.h only, once a type
// (apus_each_element.h): apus_gelu_forward_f32, apus_gelu_forward_bf16, apus_gelu_forward_f16 and so on.
//
// Element type: activations, their gradients, and weights as forward and backward read them. Statistics,
// losses, tables of angles, and all arithmetic are float32.

// --- embedding.h -------------------------------------------------------------------------------------
// out[t] = table[ids[t]]
void APUS_OF(embedding_forward)(
    APUS_ELEMENT *out, const APUS_ELEMENT *table, const int32_t *ids, int64_t T, int64_t D);
// out[t] = x[t] + table[start + t % S]; out may be x.
void APUS_OF(position_forward)(
    APUS_ELEMENT *out, const APUS_ELEMENT *x, const APUS_ELEMENT *table, int64_t T, int64_t D, int64_t S,
    int64_t start);

// --- norm.h ------------------------------------------------------------------------------------------
// y = (x - mean) * rstd * w + b. Saves mean[T] and rstd[T]. y may be x.
void APUS_OF(layernorm_forward)(
    APUS_ELEMENT *y, float *mean, float *rstd, const APUS_ELEMENT *x, const APUS_ELEMENT *w,
    const APUS_ELEMENT *b, int64_t T, int64_t D, float epsilon);
// dx may be dy.
void APUS_OF(layernorm_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, const APUS_ELEMENT *w, const float *mean,
    const float *rstd, int64_t T, int64_t D, int accumulate);
// y = x * rstd * w, rstd = 1/sqrt(mean(x^2) + epsilon). Saves rstd[T]. y may be x.
void APUS_OF(rmsnorm_forward)(
    APUS_ELEMENT *y, float *rstd, const APUS_ELEMENT *x, const APUS_ELEMENT *w, int64_t T, int64_t D,
    float epsilon);
void APUS_OF(rmsnorm_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, const APUS_ELEMENT *w, const float *rstd,
    int64_t T, int64_t D, int accumulate);
// Residual and norm in one pass: sum = a + c, then y = norm(sum). sum may be a or c. Bit-equal to add and
// the norm.
void APUS_OF(add_layernorm_forward)(
    APUS_ELEMENT *sum, APUS_ELEMENT *y, float *mean, float *rstd, const APUS_ELEMENT *a,
    const APUS_ELEMENT *c, const APUS_ELEMENT *w, const APUS_ELEMENT *b, int64_t T, int64_t D, float epsilon);
void APUS_OF(add_rmsnorm_forward)(
    APUS_ELEMENT *sum, APUS_ELEMENT *y, float *rstd, const APUS_ELEMENT *a, const APUS_ELEMENT *c,
    const APUS_ELEMENT *w, int64_t T, int64_t D, float epsilon);
// dx = passed + the norm's gradient: what a and c both receive, where `passed` is the gradient that reached
// the sum on the residual path and x is the sum. dx may be passed or dy. Bit-equal to copying `passed` to dx
// and the norm's backward with accumulate.
void APUS_OF(add_layernorm_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *passed, const APUS_ELEMENT *dy, const APUS_ELEMENT *x,
    const APUS_ELEMENT *w, const float *mean, const float *rstd, int64_t T, int64_t D);
void APUS_OF(add_rmsnorm_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *passed, const APUS_ELEMENT *dy, const APUS_ELEMENT *x,
    const APUS_ELEMENT *w, const float *rstd, int64_t T, int64_t D);

// --- elementwise.h -----------------------------------------------------------------------------------
// GELU, tanh form (Hendrycks and Gimpel 2016): 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). y may be x.
void APUS_OF(gelu_forward)(APUS_ELEMENT *y, const APUS_ELEMENT *x, int64_t n);
// dx (+)= dy * gelu'(x); dx may be dy.
void APUS_OF(gelu_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, int64_t n, int accumulate);
// gate_up holds [gate | up] side by side, T x 2F; y = silu(gate) * up, T x F.
void APUS_OF(swiglu_forward)(APUS_ELEMENT *y, const APUS_ELEMENT *gate_up, int64_t T, int64_t F);
void APUS_OF(swiglu_backward)(
    APUS_ELEMENT *dgate_up, const APUS_ELEMENT *dy, const APUS_ELEMENT *gate_up, int64_t T, int64_t F,
    int accumulate);
// out = a + b; out may be a or b.
void APUS_OF(add)(APUS_ELEMENT *out, const APUS_ELEMENT *a, const APUS_ELEMENT *b, int64_t n);
// out[t] = x[t] + bias, T x N; out may be x.
void APUS_OF(add_bias)(
    APUS_ELEMENT *out, const APUS_ELEMENT *x, const APUS_ELEMENT *bias, int64_t T, int64_t N);
// y[t] = gelu(x[t] + bias), T x N, in one pass; y may be x. Bit-equal to add_bias and gelu_forward.
void APUS_OF(bias_gelu_forward)(
    APUS_ELEMENT *y, const APUS_ELEMENT *x, const APUS_ELEMENT *bias, int64_t T, int64_t N);

// --- rotary.h ----------------------------------------------------------------------------------------
// Rotates pairs (i, i + headSize/2) of the first `heads` heads of each row by the angle of position
// start + t % S; remaining columns of the row (up to `width`) are copied. cosines and sines: P x headSize/2.
// direction +1 forward, -1 backward (the transpose). out may be x.
void APUS_OF(rotary)(
    APUS_ELEMENT *out, const APUS_ELEMENT *x, const float *cosines, const float *sines, int64_t T,
    int64_t width, int64_t heads, int64_t headSize, int64_t S, int64_t start, int direction);

// --- dropout.h ---------------------------------------------------------------------------------------
// out = x / (1 - p) where the element is kept, else 0, T x D; out may be x. No mask is stored: backward draws
// the same numbers again.
void APUS_OF(dropout_forward)(
    APUS_ELEMENT *out, const APUS_ELEMENT *x, int64_t T, int64_t D, const apus_dropout *dropout);
// dx (+)= dy / (1 - p) where the element was kept; dx may be dy.
void APUS_OF(dropout_backward)(
    APUS_ELEMENT *dx, const APUS_ELEMENT *dy, int64_t T, int64_t D, const apus_dropout *dropout,
    int accumulate);
// out = residual + dropout(x) in one pass; out may be residual or x. Bit-equal to dropout_forward and add.
void APUS_OF(dropout_add)(
    APUS_ELEMENT *out, const APUS_ELEMENT *residual, const APUS_ELEMENT *x, int64_t T, int64_t D,
    const apus_dropout *dropout);

// --- attention ---------------------------------------------------------------------------------------
// Causal attention, tiled with an online softmax (Dao 2023, FlashAttention-2): no S x S matrix in memory.
// lse: Hq x T (row h, column t), natural log.
// Bytes of scratch for a call on `threads` threads, at least apus_thread_count() of the call; no alignment
// needed. `backward` 0 serves the forward and the cached form.
int64_t APUS_OF(attention_scratch_bytes)(const apus_attention_shape *shape, int threads, int backward);
void APUS_OF(attention_forward)(
    const apus_attention_shape *shape, APUS_ELEMENT *o, float *lse, const APUS_ELEMENT *q,
    const APUS_ELEMENT *k, const APUS_ELEMENT *v, void *scratch);
// Overwrites dq, dk, dv. `dot` (Hq x T) receives the row sums of do * o.
void APUS_OF(attention_backward)(
    const apus_attention_shape *shape, APUS_ELEMENT *dq, APUS_ELEMENT *dk, APUS_ELEMENT *dv,
    const APUS_ELEMENT *d_o, const APUS_ELEMENT *o, const float *lse, float *dot, const APUS_ELEMENT *q,
    const APUS_ELEMENT *k, const APUS_ELEMENT *v, void *scratch);
// T = batch * S new rows at positions start..<start+T of one sequence (batch and S count only as T): their
// k and v are appended to the caches (capacity x Hkv*headSize, dense), then row i attends to positions
// 0...start+i.
void APUS_OF(attention_cached)(
    const apus_attention_shape *shape, APUS_ELEMENT *o, const APUS_ELEMENT *q, const APUS_ELEMENT *k,
    const APUS_ELEMENT *v, APUS_ELEMENT *k_cache, APUS_ELEMENT *v_cache, int64_t start, void *scratch);

// --- cross_entropy.h ---------------------------------------------------------------------------------
// losses[t] = logsumexp(logits[t]) - logits[t, targets[t]]; a negative target gives 0.
void APUS_OF(cross_entropy_forward)(
    float *losses, const APUS_ELEMENT *logits, const int32_t *targets, int64_t T, int64_t V);
// The same losses; logits become their gradient times scale (0 where the target is negative), in place.
void APUS_OF(cross_entropy_backward)(
    float *losses, APUS_ELEMENT *logits, const int32_t *targets, int64_t T, int64_t V, float scale);
// From float32 logits, which are overwritten, to a gradient of this type whose rows are `stride` elements
// apart. The gradient may lie in its own logits' rows: gradient == (void *)logits, stride == V, or 2 V for 16
// bits. The form for 16-bit training: a product of 16-bit operands writes float32 logits, which are not
// rounded, and the products of the gradient read 16 bits.
void APUS_OF(cross_entropy_gradient)(
    float *losses, APUS_ELEMENT *gradient, int64_t stride, float *logits, const int32_t *targets, int64_t T,
    int64_t V, float scale);

// --- optimizer.h -------------------------------------------------------------------------------------
// Sum of squares in double precision, in a fixed order (blocks of 65,536). NaN or infinite where an element
// is: the check for overflow of fp16 gradients is this sum.
double APUS_OF(sum_of_squares)(const APUS_ELEMENT *x, int64_t n);
