// Softmax cross-entropy over the vocabulary, for every type of logits and gradient. One row is one task: its
// largest logit, then exponentials and their sum, then (backward) the gradient; a row stays in the
// second-level cache between the passes.
#include "element.h"

#define APUS_BODY "../cross_entropy.h"
#include "apus_each_element.h"
