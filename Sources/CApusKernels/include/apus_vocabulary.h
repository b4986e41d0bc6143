// Kernels of a vocabulary whose rows are divided over ranks: a rank holds the rows first ..< first + count of the
// table, and as many columns of the logits; further rows and columns are padding.
#ifndef APUS_VOCABULARY_H
#define APUS_VOCABULARY_H
#include <stdint.h>

// out[t] = table[ids[t] - first] where the rank has that row, otherwise zeros; rows of `row_bytes` bytes, zero being
// all bits zero.
void apus_embedding_part_forward(
    void *out, const void *table, const int32_t *ids, int64_t T, int64_t row_bytes, int64_t first, int64_t count);
// statistics[t] = the largest of the rank's logits (-infinity where it has none), the sum of exponentials of the
// others' distance to it, and the target's logit (0 where another rank has it). logits: T x V, V >= count.
void apus_cross_entropy_statistics_f32(
    float *statistics, const float *logits, const int32_t *targets, int64_t T, int64_t V, int64_t first,
    int64_t count);
// losses[t] from the statistics of all ranks (ranks x T x 3); a negative target gives 0.
void apus_cross_entropy_merge_f32(
    float *losses, const float *statistics, const int32_t *targets, int64_t T, int64_t ranks);
// The same losses; logits become their gradient times scale in place: 0 in padding and where the target is
// negative.
void apus_cross_entropy_part_backward_f32(
    float *losses, float *logits, const float *statistics, const int32_t *targets, int64_t T, int64_t V,
    int64_t first, int64_t count, int64_t ranks, float scale);
#endif
