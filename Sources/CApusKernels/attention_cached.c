// Attention of new rows over a cache of keys and values, for generation, for every element type.
//
// Many rows run through the forward tiles. Few rows are bound by reading the cache: a task is one key-value
// head, and each chunk of its keys is read once for all rows and all heads that share it.
#include "attention.h"
#include "element.h"

static const float LOG2_E = 1.44269504f;

// Rows from which the tiled form is used; keys of one chunk; queries that one task keeps; the largest head.
enum { TILED_ROWS = 6, CHUNK = 128, QUERIES = 96, LARGEST_HEAD = 256 };

#define APUS_BODY "../attention_cached.h"
#include "apus_each_element.h"
