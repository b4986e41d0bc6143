// Gradients of the embedding tables. They are split by columns, so that rows hit twice need no locks and the
// order of every sum is fixed.
#include "element.h"

enum { EMBEDDING_COLUMNS = 64, TOKENS_AT_ONCE = 4096 };

// Sorts keys in place (heapsort: no memory, n log n in the worst case).
static void sort_keys(uint64_t *keys, int64_t n) {
  for (int64_t built = n / 2, end = n; end > 1;) {
    uint64_t sinking;
    if (built > 0) {
      sinking = keys[--built];
    } else {
      sinking = keys[--end];
      keys[end] = keys[0];
    }
    int64_t at = built;
    for (int64_t child = 2 * at + 1; child < end; child = 2 * at + 1) {
      if (child + 1 < end && keys[child + 1] > keys[child]) child++;
      if (keys[child] <= sinking) break;
      keys[at] = keys[child];
      at = child;
    }
    keys[at] = sinking;
  }
}

#define APUS_BODY "../embedding_gradient.h"
#include "apus_each_pair.h"
