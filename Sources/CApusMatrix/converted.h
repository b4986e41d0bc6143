// Products whose operands are copied, a block at a time, before oneDNN's float32 GEMM multiplies them: 16-bit
// operands on processors without the instructions, widened to float32, and float32 operands whose rows crowd
// into few cache sets, spread apart. A block of C that is not float32 is rounded once.
#ifndef APUS_CONVERTED_H
#define APUS_CONVERTED_H
#include "apus_matrix.h"

// Whether a float32 product that oneDNN gives to its AVX2 GEMM runs faster with crowded operands spread. The
// answer is of the shape and the number of threads alone, never of a measurement: the same run gives the same
// bits.
int apus_spreading_helps(const apus_product_shape *shape);
// Bytes of scratch of a run: at most three blocks of 1,024 x 1,040 floats and 64 bytes.
int64_t apus_converted_scratch_bytes(const apus_product_shape *shape);
// Returns 0, or oneDNN's status.
int apus_converted_run(
    const apus_product_shape *shape, const void *a, const void *b, void *c, const void *bias, void *scratch);
#endif
