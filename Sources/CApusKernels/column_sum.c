// Sums over the rows of a matrix: gradients of biases and norm weights, for every pair of element types.
#include "element.h"
#include "gelu.h"

// Columns of one task, and rows that are summed before they are added to the total: the rounding error grows
// with T/128 + 128 instead of T. A task owns its columns, so nothing is combined between threads.
enum { APUS_SUM_COLUMNS = 64, APUS_SUM_ROWS = 128 };

#define APUS_BODY "../column_sum.h"
#include "apus_each_pair.h"
