// LayerNorm and RMSNorm, forward and backward, alone and behind a residual addition, for every element type.
#include "element.h"

// The rows of one task.
#define FOR_EACH_ROW(t, n, block) \
  for (int64_t t = (block) * (n)->rows; t < apus_min((n)->T, ((block) + 1) * (n)->rows); t++)

#define APUS_BODY "../norm.h"
#include "apus_each_element.h"
