// Token and position embeddings for every element type.
#include "element.h"

// Rows of one task: about APUS_BLOCK elements.
static int64_t rows_per_task(int64_t D) { return apus_max(1, APUS_BLOCK / apus_max(D, 1)); }

#define APUS_BODY "../embedding.h"
#include "apus_each_element.h"
