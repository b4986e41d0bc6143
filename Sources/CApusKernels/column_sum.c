// Sums over the rows of a matrix: gradients of biases and norm weights, for every pair of element types.
#include "element.h"
#include "gelu.h"

// Columns of one task, and rows that are summed before they are added to the total: the rounding error grows
// with T/128 + 128 instead of T. A task owns its columns, so nothing is combined between threads.
enum { APUS_SUM_COLUMNS = 64, APUS_SUM_ROWS = 128 };

// Bias + GELU goes over the matrix by rows, since each row lies in other pages, and sums a piece of a few
// megabytes while it is in the cache: columns and rows of a piece (a multiple of APUS_SUM_ROWS), and rows of
// a task.
enum { GELU_COLUMNS = 4096, GELU_PIECE = 512, GELU_ROWS = 4 };

#define APUS_BODY "../column_sum.h"
#include "apus_each_pair.h"
