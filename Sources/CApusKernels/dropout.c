// Dropout (Srivastava et al. 2014) without stored masks, for every element type: which elements are dropped
// is a function of their place in the whole tensor, drawn again wherever it is needed.
#include "element.h"

enum { DROPOUT_CHUNK = 1024, DROPOUT_GROUP = 64 };

typedef uint64_t apus_w8 __attribute__((ext_vector_type(8)));

// The low and high halves of the products of 16 words by a constant: even and odd lanes apart, since
// processors multiply 32 by 32 bits in 64-bit lanes.
APUS_INLINE void multiply_words(apus_u16 *low, apus_u16 *high, const apus_u16 *x, uint64_t factor) {
  const apus_w8 lower = 0xFFFFFFFFu, pairs = *(const apus_w8 *)x;
  apus_w8 even = (pairs & lower) * factor, odd = (pairs >> 32) * factor;
  apus_w8 lows = (even & lower) | odd << 32, highs = even >> 32 | (odd & ~lower);
  *low = (apus_u16)lows;
  *high = (apus_u16)highs;
}

// Philox 4x32-10 (Salmon et al. 2011) on 16 counters at once: words[16 w + i] is word w of counter first + i.
APUS_INLINE void draw_group(uint32_t *words, uint64_t first, const apus_dropout *d) {
  const apus_u16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  // `first` is a multiple of 16: no lane carries into the upper half.
  apus_u16 c0 = lanes + (uint32_t)first, c1 = (uint32_t)(first >> 32), c2 = d->site, c3 = d->step;
  uint32_t key0 = (uint32_t)d->seed, key1 = (uint32_t)(d->seed >> 32);
  for (int round = 0; round < 10; round++) {
    apus_u16 low_a, high_a, low_b, high_b;
    multiply_words(&low_a, &high_a, &c0, 0xD2511F53u);
    multiply_words(&low_b, &high_b, &c2, 0xCD9E8D57u);
    c0 = high_b ^ c1 ^ key0;
    c1 = low_b;
    c2 = high_a ^ c3 ^ key1;
    c3 = low_a;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  memcpy(words, &c0, sizeof c0);
  memcpy(words + 16, &c1, sizeof c1);
  memcpy(words + 32, &c2, sizeof c2);
  memcpy(words + 48, &c3, sizeof c3);
}

// The words of elements g ..< g + count, count <= DROPOUT_CHUNK; returns where in `words` they start.
APUS_INLINE const uint32_t *draw_words(uint32_t *words, int64_t g, int64_t count, const apus_dropout *d) {
  const int64_t start = g / DROPOUT_GROUP * DROPOUT_GROUP;
  for (int64_t at = start; at < g + count; at += DROPOUT_GROUP) {
    draw_group(words + (at - start), (uint64_t)(at / DROPOUT_GROUP) * 16, d);
  }
  return words + (g - start);
}

#define APUS_BODY "../dropout.h"
#include "apus_each_element.h"
