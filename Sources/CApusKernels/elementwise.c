// GELU, SwiGLU, sums, for every element type.
#include "element.h"
#include "gelu.h"

#define APUS_BODY "../elementwise.h"
#include "apus_each_element.h"
