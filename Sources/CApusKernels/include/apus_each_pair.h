// Includes the file that APUS_BODY names (as seen from this folder) once for each pair of element types:
// APUS_ELEMENT and APUS_SUFFIX are what a kernel reads, APUS_OUTPUT and APUS_OUTPUT_SUFFIX what it writes.
// APUS_OF_PAIR(name) is apus_name_f32 for float32 to float32, else apus_name_INPUT_OUTPUT.
#define APUS_ELEMENT float
#define APUS_SUFFIX f32
#define APUS_OUTPUT float
#define APUS_OUTPUT_SUFFIX f32
#define APUS_PAIR_SUFFIX f32
#include APUS_BODY
#undef APUS_ELEMENT
#undef APUS_SUFFIX
#undef APUS_PAIR_SUFFIX

#define APUS_ELEMENT apus_bf16
#define APUS_SUFFIX bf16
#define APUS_PAIR_SUFFIX bf16_f32
#include APUS_BODY
#undef APUS_ELEMENT
#undef APUS_SUFFIX
#undef APUS_PAIR_SUFFIX

#define APUS_ELEMENT apus_f16
#define APUS_SUFFIX f16
#define APUS_PAIR_SUFFIX f16_f32
#include APUS_BODY
#undef APUS_OUTPUT
#undef APUS_OUTPUT_SUFFIX
#undef APUS_PAIR_SUFFIX

#define APUS_OUTPUT apus_f16
#define APUS_OUTPUT_SUFFIX f16
#define APUS_PAIR_SUFFIX f16_f16
#include APUS_BODY
#undef APUS_ELEMENT
#undef APUS_SUFFIX
#undef APUS_OUTPUT
#undef APUS_OUTPUT_SUFFIX
#undef APUS_PAIR_SUFFIX

#define APUS_ELEMENT apus_bf16
#define APUS_SUFFIX bf16
#define APUS_OUTPUT apus_bf16
#define APUS_OUTPUT_SUFFIX bf16
#define APUS_PAIR_SUFFIX bf16_bf16
#include APUS_BODY
#undef APUS_ELEMENT
#undef APUS_SUFFIX
#undef APUS_OUTPUT
#undef APUS_OUTPUT_SUFFIX
#undef APUS_PAIR_SUFFIX
