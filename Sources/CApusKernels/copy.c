// Copies, additions and conversions between element types.
#include "element.h"

#define APUS_BODY "../copy.h"
#include "apus_each_pair.h"
#undef APUS_BODY

// Rounding float32 to 16 bits: the two pairs that no other kernel has.
#define APUS_ELEMENT float
#define APUS_SUFFIX f32
#define APUS_OUTPUT apus_bf16
#define APUS_OUTPUT_SUFFIX bf16
#define APUS_PAIR_SUFFIX f32_bf16
#include "copy.h"
#undef APUS_OUTPUT
#undef APUS_OUTPUT_SUFFIX
#undef APUS_PAIR_SUFFIX
#define APUS_OUTPUT apus_f16
#define APUS_OUTPUT_SUFFIX f16
#define APUS_PAIR_SUFFIX f32_f16
#include "copy.h"
