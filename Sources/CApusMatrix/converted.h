// Products with 16-bit types on processors without the instructions: blocks of the operands are widened to
// float32 in the scratch and multiplied by oneDNN's float32 GEMM; a block of C is rounded once.
#ifndef APUS_CONVERTED_H
#define APUS_CONVERTED_H
#include "apus_matrix.h"

// Bytes of scratch of a run: at most three blocks of 1,024 x 1,040 floats and 64 bytes.
int64_t apus_converted_scratch_bytes(const apus_product_shape *shape);
// Returns 0, or oneDNN's status.
int apus_converted_run(
    const apus_product_shape *shape, const void *a, const void *b, void *c, const void *bias, void *scratch);
#endif
