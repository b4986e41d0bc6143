// How the elements of a buffer are stored.
//
// 16-bit types are storage only: kernels widen each element to float32, compute there, and round results to
// nearest, ties to even. Values beyond a type's range become infinite, NaN stays NaN, subnormal numbers are
// kept.
#ifndef APUS_ELEMENT_H
#define APUS_ELEMENT_H
#include <stdint.h>

typedef enum { APUS_F32, APUS_BF16, APUS_F16 } apus_element;

typedef uint16_t apus_bf16;  // the upper half of a float32: 8 exponent bits, 7 of the fraction
typedef uint16_t apus_f16;   // IEEE 754 binary16: 5 exponent bits, 10 of the fraction; largest 65,504

// The name of a kernel for the element types at hand: see apus_each_element.h and apus_each_pair.h.
#define APUS_JOIN_AGAIN(a, b) a##b
#define APUS_JOIN(a, b) APUS_JOIN_AGAIN(a, b)
#define APUS_OF(name) APUS_JOIN(apus_##name##_, APUS_SUFFIX)
#define APUS_OF_PAIR(name) APUS_JOIN(apus_##name##_, APUS_PAIR_SUFFIX)
#endif
