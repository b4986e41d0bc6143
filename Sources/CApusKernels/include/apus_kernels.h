// Apus kernels: everything of a training step except matrix products.
//
// Shapes: T tokens (rows), D hidden size, F intermediate size, V vocabulary, S sequence length.
// All matrices are row-major and dense unless a stride (in elements) is given.
// `accumulate` != 0 adds to the output instead of overwriting it.
// Sums and statistics are taken in float32 unless said otherwise; results do not depend on the number of
// threads. Kernels run on the shared pool (apus_parallel_for) and allocate nothing.
//
// A kernel is declared once, in apus_kernels_of_element.h or apus_kernels_of_pair.h, for all element types.
#ifndef APUS_KERNELS_H
#define APUS_KERNELS_H
#include <stdint.h>

#include "apus_vocabulary.h"
#include "apus_element.h"

// --- pool.c: the one thread pool, shared with oneDNN (libgomp) ---------------------------------------
typedef void (*apus_task)(void *context, int64_t index);
// The number of threads of the calling thread's kernels and matrix products; each rank's thread has its own.
void apus_set_thread_count(int count);
int apus_thread_count(void);
// Calls task(context, i) for every i in 0..<count, on all threads, each index once, indices handed out
// dynamically (atomic counter). Nested calls run serially.
void apus_parallel_for(int64_t count, apus_task task, void *context);

// --- shapes --------------------------------------------------------------------------------------------
// batch * S = T rows; q has Hq heads of headSize side by side in a row, k and v have Hkv; head h of q reads
// head h / (Hq/Hkv) of k and v. Any even headSize up to 256.
typedef struct {
  int64_t batch, S, Hq, Hkv, headSize;
  int64_t q_stride, k_stride, v_stride, o_stride;      // elements between rows
  int64_t dq_stride, dk_stride, dv_stride, do_stride;  // backward only
  float scale;                                         // 1/sqrt(headSize)
} apus_attention_shape;

// Which elements are dropped: a function of seed, step, site and the element's place in the whole tensor
// (its row and column in a matrix `width` wide), so every layout and every recomputation draws the same.
// Element g = row * width + column is dropped where word g/16 % 4 of Philox 4x32-10, counter
// (c low, c high, site, step) with c = g/64 * 16 + g % 16, key `seed`, is below probability * 2^32.
typedef struct {
  uint64_t seed;
  uint32_t step, site;                     // site: one number for each place in the model that drops
  int64_t first_row, first_column, width;  // where this T x D part lies in the whole tensor
  float probability;                       // 0 <= probability < 1
} apus_dropout;

// --- kernels of one element type -----------------------------------------------------------------------
#define APUS_BODY "apus_kernels_of_element.h"
#include "apus_each_element.h"
#undef APUS_BODY

// --- kernels of two element types ----------------------------------------------------------------------
#define APUS_BODY "apus_kernels_of_pair.h"
#include "apus_each_pair.h"
#undef APUS_BODY
// Rounds float32 to 16 bits: out = round(a), or round(out + a).
void apus_copy_f32_bf16(apus_bf16 *out, const float *a, int64_t n, int accumulate);
void apus_copy_f32_f16(apus_f16 *out, const float *a, int64_t n, int accumulate);

// --- rows.c: blocks of matrices, whose types are known when they run; for products that convert -------
// out[r] = x[r], widened to float32; strides in elements.
void apus_widen_rows(
    float *out, int64_t out_stride, const void *x, int64_t stride, apus_element type, int64_t rows,
    int64_t columns);
// out[r] = round(x[r] [+ bias] [+ out[r]]); bias may be null.
void apus_round_rows(
    void *out, int64_t out_stride, apus_element type, const float *x, int64_t stride, const void *bias,
    apus_element bias_type, int64_t rows, int64_t columns, int accumulate);

// --- attention_rungs.c: what apus_attention_forward is measured against -------------------------------
typedef enum {
  APUS_ATTENTION_SCALAR,   // one loop after the other, one number at a time
  APUS_ATTENTION_UNFUSED,  // three vectorised passes over the S x S scores of a head, in memory
  APUS_ATTENTION_FLASH1,   // tiles, keys in the outer loop, output normalised after each (Dao et al. 2022)
  APUS_ATTENTION_FLASH2,   // apus_attention_forward
} apus_attention_rung;
int64_t apus_attention_rung_scratch_bytes(
    apus_attention_rung rung, const apus_attention_shape *shape, int threads);
void apus_attention_rung_forward(
    apus_attention_rung rung, apus_element type, const apus_attention_shape *shape, void *o, float *lse,
    const void *q, const void *k, const void *v, void *scratch);

// --- optimizer.c -------------------------------------------------------------------------------------
// AdamW (Loshchilov and Hutter 2019), one pass:  g = gradient * gradient_scale;
//   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
//   p = p - lr * weight_decay * p - lr * (m / correction1) / (sqrt(v / correction2) + epsilon)
// Moments and p are float32, the gradient float32 or of the weights' type. Where p are master weights, the pass
// also writes weights = round(p), of `weights_type`; where not, `weights` is null and its type APUS_F32. Bit-equal
// to widening the gradient, the update and rounding.
void apus_adamw(
    void *weights, apus_element weights_type, float *p, float *m, float *v, const void *gradient,
    apus_element gradient_type, int64_t n, float learning_rate, float beta1, float beta2, float epsilon,
    float weight_decay, float correction1, float correction2, float gradient_scale);

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
