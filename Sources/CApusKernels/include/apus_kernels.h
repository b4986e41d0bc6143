// Apus kernels: everything of a training step except matrix products.
//
// Shapes: T tokens (rows), D hidden size, F intermediate size, V vocabulary, S sequence length.
// All matrices are row-major and dense unless a stride (in elements) is given.
// `accumulate` != 0 adds to the output instead of overwriting it.
// Sums and statistics are taken in float32 unless said otherwise; results do not depend on the number of
// threads. Kernels run on the shared pool (apus_parallel_for) and allocate nothing.
#ifndef APUS_KERNELS_H
#define APUS_KERNELS_H
#include <stdint.h>

#include "apus_vocabulary.h"

// --- pool.c: the one thread pool, shared with oneDNN (libgomp) ---------------------------------------
typedef void (*apus_task)(void *context, int64_t index);
// The number of threads of the calling thread's kernels and matrix products; each rank's thread has its own.
void apus_set_thread_count(int count);
int apus_thread_count(void);
// Calls task(context, i) for every i in 0..<count, on all threads, each index once, indices handed out
// dynamically (atomic counter). Nested calls run serially.
void apus_parallel_for(int64_t count, apus_task task, void *context);

// --- embedding.c -------------------------------------------------------------------------------------
// out[t] = table[ids[t]]
void apus_embedding_forward_f32(float *out, const float *table, const int32_t *ids, int64_t T, int64_t D);
// dtable[ids[t]] += dout[t]; with accumulate == 0 the whole table (V rows) is zeroed first.
void apus_embedding_backward_f32(
    float *dtable, const float *dout, const int32_t *ids, int64_t T, int64_t D, int64_t V, int accumulate);
// out[t] = x[t] + table[start + t % S]; out may be x.
void apus_position_forward_f32(
    float *out, const float *x, const float *table, int64_t T, int64_t D, int64_t S, int64_t start);
// dtable[p] (+)= sum of dout[t] over t % S == p, p < S; rows S..<P are zeroed when not accumulating.
void apus_position_backward_f32(
    float *dtable, const float *dout, int64_t T, int64_t D, int64_t S, int64_t P, int accumulate);

// --- norm.c ------------------------------------------------------------------------------------------
// y = (x - mean) * rstd * w + b. Saves mean[T] and rstd[T]. y may be x.
void apus_layernorm_forward_f32(
    float *y, float *mean, float *rstd, const float *x, const float *w, const float *b, int64_t T, int64_t D,
    float epsilon);
// dx may be dy.
void apus_layernorm_backward_f32(
    float *dx, const float *dy, const float *x, const float *w, const float *mean, const float *rstd,
    int64_t T, int64_t D, int accumulate);
// dw[d] (+)= sum_t dy[t,d] * (x[t,d] - mean[t]) * rstd[t];  db[d] (+)= sum_t dy[t,d]
void apus_layernorm_backward_weights_f32(
    float *dw, float *db, const float *dy, const float *x, const float *mean, const float *rstd, int64_t T,
    int64_t D, int accumulate_w, int accumulate_b);
// y = x * rstd * w, rstd = 1/sqrt(mean(x^2) + epsilon). Saves rstd[T]. y may be x.
void apus_rmsnorm_forward_f32(
    float *y, float *rstd, const float *x, const float *w, int64_t T, int64_t D, float epsilon);
void apus_rmsnorm_backward_f32(
    float *dx, const float *dy, const float *x, const float *w, const float *rstd, int64_t T, int64_t D,
    int accumulate);
void apus_rmsnorm_backward_weights_f32(
    float *dw, const float *dy, const float *x, const float *rstd, int64_t T, int64_t D, int accumulate);

// --- elementwise.c -----------------------------------------------------------------------------------
// GELU, tanh form (Hendrycks and Gimpel 2016): 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). y may be x.
void apus_gelu_forward_f32(float *y, const float *x, int64_t n);
// dx (+)= dy * gelu'(x); dx may be dy.
void apus_gelu_backward_f32(float *dx, const float *dy, const float *x, int64_t n, int accumulate);
// gate_up holds [gate | up] side by side, T x 2F; y = silu(gate) * up, T x F.
void apus_swiglu_forward_f32(float *y, const float *gate_up, int64_t T, int64_t F);
void apus_swiglu_backward_f32(
    float *dgate_up, const float *dy, const float *gate_up, int64_t T, int64_t F, int accumulate);
// out = a + b; out may be a or b.
void apus_add_f32(float *out, const float *a, const float *b, int64_t n);
// out (+)= a
void apus_copy_f32(float *out, const float *a, int64_t n, int accumulate);
// out[n] (+)= sum_t x[t, n]; bias gradients. x has a row stride.
void apus_column_sum_f32(float *out, const float *x, int64_t T, int64_t N, int64_t stride, int accumulate);

// --- rotary.c ----------------------------------------------------------------------------------------
// Rotates pairs (i, i + headSize/2) of the first `heads` heads of each row by the angle of position
// start + t % S; remaining columns of the row (up to `width`) are copied. cosines and sines: P x headSize/2.
// direction +1 forward, -1 backward (the transpose). out may be x.
void apus_rotary_f32(
    float *out, const float *x, const float *cosines, const float *sines, int64_t T, int64_t width,
    int64_t heads, int64_t headSize, int64_t S, int64_t start, int direction);

// --- attention.c -------------------------------------------------------------------------------------
// Causal attention, tiled with an online softmax (Dao 2023, FlashAttention-2): no S x S matrix in memory.
// batch * S = T rows; q has Hq heads of headSize side by side in a row, k and v have Hkv; head h of q reads
// head h / (Hq/Hkv) of k and v. Any even headSize up to 256. lse: Hq x T (row h, column t), natural log.
typedef struct {
  int64_t batch, S, Hq, Hkv, headSize;
  int64_t q_stride, k_stride, v_stride, o_stride;      // elements between rows
  int64_t dq_stride, dk_stride, dv_stride, do_stride;  // backward only
  float scale;                                         // 1/sqrt(headSize)
} apus_attention_shape;
// Bytes of scratch for a call on `threads` threads, at least apus_thread_count() of the call; no alignment
// needed. `backward` 0 serves the forward and the cached form.
int64_t apus_attention_scratch_bytes_f32(const apus_attention_shape *shape, int threads, int backward);
void apus_attention_forward_f32(
    const apus_attention_shape *shape, float *o, float *lse, const float *q, const float *k, const float *v,
    void *scratch);
// Overwrites dq, dk, dv. `dot` (Hq x T) receives the row sums of do * o.
void apus_attention_backward_f32(
    const apus_attention_shape *shape, float *dq, float *dk, float *dv, const float *d_o, const float *o,
    const float *lse, float *dot, const float *q, const float *k, const float *v, void *scratch);
// T = batch * S new rows at positions start..<start+T of one sequence (batch and S count only as T): their
// k and v are appended to the caches (capacity x Hkv*headSize, dense), then row i attends to positions
// 0...start+i.
void apus_attention_cached_f32(
    const apus_attention_shape *shape, float *o, const float *q, const float *k, const float *v,
    float *k_cache, float *v_cache, int64_t start, void *scratch);

// --- cross_entropy.c ---------------------------------------------------------------------------------
// losses[t] = logsumexp(logits[t]) - logits[t, targets[t]]; a negative target gives 0.
void apus_cross_entropy_forward_f32(
    float *losses, const float *logits, const int32_t *targets, int64_t T, int64_t V);
// The same losses; logits become their gradient times scale (0 where the target is negative), in place.
void apus_cross_entropy_backward_f32(
    float *losses, float *logits, const int32_t *targets, int64_t T, int64_t V, float scale);

// --- optimizer.c -------------------------------------------------------------------------------------
// Sum of squares in double precision, in a fixed order (blocks of 65,536).
double apus_sum_of_squares_f32(const float *x, int64_t n);
// AdamW (Loshchilov and Hutter 2019), one pass:  g = gradient * gradient_scale;
//   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
//   p = p - lr * weight_decay * p - lr * (m / correction1) / (sqrt(v / correction2) + epsilon)
void apus_adamw_f32(
    float *p, float *m, float *v, const float *gradient, int64_t n, float learning_rate, float beta1,
    float beta2, float epsilon, float weight_decay, float correction1, float correction2,
    float gradient_scale);

// --- random.c ----------------------------------------------------------------------------------------
// Philox 4x32-10 (Salmon et al. 2011). out[i] is drawn at counter `first + i` of stream `key`: the numbers
// do not depend on how a tensor is split. Normal numbers by Box-Muller in double precision, rounded once.
void apus_philox_normal_f32(float *out, int64_t n, uint64_t key, uint64_t first, float mean, float deviation);
// The generator itself: four words from a 128-bit counter and a 64-bit key, lowest word first.
void apus_philox_4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

// --- ranks.c -----------------------------------------------------------------------------------------
// Values follow the cases of Swift's wrapper.
enum { APUS_RANKS_F32, APUS_RANKS_F64, APUS_RANKS_I32, APUS_RANKS_BF16, APUS_RANKS_F16 };

typedef struct {
  const void *const *inputs;  // one buffer of `count` elements a rank
  int64_t input_count;
  void *const *outputs;  // where the result goes; an output may be an input at the same address
  int64_t output_count;
  int64_t count;
  int32_t type;
  int32_t maximum;  // 1: the largest (NaN if any is); 0: the sum
} apus_rank_terms;

// outputs[o][i] = inputs[0][i] + inputs[1][i] + ..., in this order; 16-bit types are added in float32 and
// rounded once to nearest even.
void apus_reduce_ranks(const apus_rank_terms *terms);
#endif
