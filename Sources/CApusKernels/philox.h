// Philox 4x32 with 10 rounds (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3").
#ifndef APUS_PHILOX_H
#define APUS_PHILOX_H
#include <stdint.h>

// Replaces the counter by four random words.
static inline void apus_philox_rounds(uint32_t c[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)c[0] * 0xD2511F53u, b = (uint64_t)c[2] * 0xCD9E8D57u;
    uint32_t c0 = (uint32_t)(b >> 32) ^ c[1] ^ key0, c2 = (uint32_t)(a >> 32) ^ c[3] ^ key1;
    c[0] = c0;
    c[1] = (uint32_t)b;
    c[2] = c2;
    c[3] = (uint32_t)a;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}
#endif
