// Includes the file that APUS_BODY names (as seen from this folder) once for each element type, with
// APUS_ELEMENT (float, apus_bf16, apus_f16), APUS_SUFFIX (f32, bf16, f16) and APUS_TYPE (APUS_F32, APUS_BF16,
// APUS_F16) defined; APUS_OF(name) is then apus_name_SUFFIX.
#define APUS_ELEMENT float
#define APUS_SUFFIX f32
#define APUS_TYPE APUS_F32
#include APUS_BODY
#undef APUS_ELEMENT
#undef APUS_SUFFIX
#undef APUS_TYPE

#define APUS_ELEMENT apus_bf16
#define APUS_SUFFIX bf16
#define APUS_TYPE APUS_BF16
#include APUS_BODY
#undef APUS_ELEMENT
#undef APUS_SUFFIX
#undef APUS_TYPE

#define APUS_ELEMENT apus_f16
#define APUS_SUFFIX f16
#define APUS_TYPE APUS_F16
#include APUS_BODY
#undef APUS_ELEMENT
#undef APUS_SUFFIX
#undef APUS_TYPE
