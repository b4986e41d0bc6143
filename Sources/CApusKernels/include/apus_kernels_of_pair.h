// The kernels that read one element type and write another. Included by apus_kernels.h only, once a pair
// (apus_each_pair.h): apus_column_sum_f32, apus_column_sum_bf16_f32, apus_column_sum_bf16_bf16 and so on.
//
// Sums are taken in float32 and rounded to the output's type once: out = round(sum), or round(out + sum).

// out (+)= a. Same address allowed only between equal types.
void APUS_OF_PAIR(copy)(APUS_OUTPUT *out, const APUS_ELEMENT *a, int64_t n, int accumulate);

// out[n] (+)= sum_t x[t, n]; bias gradients. x has a row stride.
void APUS_OF_PAIR(column_sum)(
    APUS_OUTPUT *out, const APUS_ELEMENT *x, int64_t T, int64_t N, int64_t stride, int accumulate);
// dx[t] = dy[t] * gelu'(x[t] + bias) and dbias (+)= sum_t dx[t], T x N, in one pass; dx may be dy. Bit-equal
// to add_bias, gelu_backward and column_sum.
void APUS_OF_PAIR(bias_gelu_backward)(
    APUS_ELEMENT *dx, APUS_OUTPUT *dbias, const APUS_ELEMENT *dy, const APUS_ELEMENT *x,
    const APUS_ELEMENT *bias, int64_t T, int64_t N, int accumulate_bias);
// dw[d] (+)= sum_t dy[t,d] * (x[t,d] - mean[t]) * rstd[t];  db[d] (+)= sum_t dy[t,d]
void APUS_OF_PAIR(layernorm_backward_weights)(
    APUS_OUTPUT *dw, APUS_OUTPUT *db, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, const float *mean,
    const float *rstd, int64_t T, int64_t D, int accumulate_w, int accumulate_b);
void APUS_OF_PAIR(rmsnorm_backward_weights)(
    APUS_OUTPUT *dw, const APUS_ELEMENT *dy, const APUS_ELEMENT *x, const float *rstd, int64_t T, int64_t D,
    int accumulate);

// dtable[ids[t]] += dout[t]; with accumulate == 0 the whole table (V rows) is zeroed first. A 16-bit table is
// rounded once for every 4,096 tokens that hold an id, not once a token.
void APUS_OF_PAIR(embedding_backward)(
    APUS_OUTPUT *dtable, const APUS_ELEMENT *dout, const int32_t *ids, int64_t T, int64_t D, int64_t V,
    int accumulate);
// dtable[p] (+)= sum of dout[t] over t % S == p, p < S; rows S..<P are zeroed when not accumulating.
void APUS_OF_PAIR(position_backward)(
    APUS_OUTPUT *dtable, const APUS_ELEMENT *dout, int64_t T, int64_t D, int64_t S, int64_t P,
    int accumulate);
