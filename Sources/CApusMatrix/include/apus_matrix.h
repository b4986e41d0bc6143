// Matrix products through oneDNN's C API, 2.x and 3.x.
//
// A product is made once for its shapes (a "primitive", cached by the caller) and run many times.
// Row-major matrices of float32, bf16 or fp16, with a row stride in elements. oneDNN runs on libgomp's
// threads. Create and run a product with the same number of threads: oneDNN divides the work, and its
// scratch, at creation.
//
// A product holds the addresses of the run in progress: one product must not be run by two threads at
// once. Different products may.
#ifndef APUS_MATRIX_H
#define APUS_MATRIX_H
#include <stdint.h>

#include "apus_element.h"

typedef struct apus_product apus_product;

// C (M x N) = alpha-free product op(A) (M x K) * op(B) (K x N) [+ bias (N)] [+ C].
typedef struct {
  int64_t m, n, k;
  int64_t a_stride, b_stride, c_stride;  // elements between rows as stored
  int32_t transpose_a;                   // A is stored K x M
  int32_t transpose_b;                   // B is stored N x K
  int32_t accumulate;                    // add to what C holds
  int32_t has_bias;                      // a row of N numbers is added to every row of C
  // Types of A, B, C and the bias, in any combination. Sums are float32, rounded to C's type once. Products
  // of bf16 run on the processor's own bf16 instructions where it has them; every other product with a
  // 16-bit type converts blocks to float32 in the scratch and multiplies there.
  apus_element a_type, b_type, c_type, bias_type;
} apus_product_shape;

// Returns NULL on failure and writes one line to `message` (capacity bytes).
apus_product *apus_product_create(const apus_product_shape *shape, char *message, int64_t capacity);
// Bytes of scratch memory that `apus_product_run` needs; the caller passes them in (user-managed scratchpad).
int64_t apus_product_scratch_bytes(const apus_product *product);
// Overwrites C, or adds to it when the shape says accumulate; C overlaps neither A nor B. Numbers between
// the width and the stride of C are left alone. 2 M N K FLOPs.
// Returns 0, or oneDNN's status. `bias` may be NULL when has_bias is 0; `scratch` when no bytes are needed.
int apus_product_run(
    apus_product *product, const void *a, const void *b, void *c, const void *bias, void *scratch);
// Says in one line what a run that returned `status` was: the product's code, sizes and strides, and the
// library's word for the status.
void apus_product_fault(const apus_product *product, int status, char *message, int64_t capacity);
void apus_product_destroy(apus_product *product);
// What runs: oneDNN's own name for the primitive's code, e.g. "gemm:jit" or "brg:avx512_core", or "sgemm"
// where its GEMM is called directly, "convert:sgemm" where 16-bit blocks are converted first, or "spread:sgemm"
// where float32 blocks are spread over the cache's sets first. "ref:any" is oneDNN's slow fallback and must not
// happen.
const char *apus_product_implementation(const apus_product *product);
// "2.6.3" and the instruction set that oneDNN picked, e.g. "avx2".
const char *apus_matrix_library_version(void);
const char *apus_matrix_library_isa(void);
#endif
