// Normal random numbers from counters: the same element is the same number in every layout.
#include "internal.h"
#include "philox.h"

typedef struct {
  float *out;
  int64_t n;
  uint64_t key, first;
  double mean, deviation;
} normal_work;

void apus_philox_4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
  apus_philox_rounds(c, key[0], key[1]);
  memcpy(out, c, sizeof c);
}

// Not cloned and not fused: every machine draws the same numbers, as far as its log and cos agree.
static void draw(void *context, int64_t block) {
#pragma clang fp contract(off)
  const normal_work *w = context;
  for (int64_t i = block * 4096; i < apus_min(w->n, (block + 1) * 4096); i++) {
    uint64_t at = w->first + (uint64_t)i;
    uint32_t c[4] = {(uint32_t)at, (uint32_t)(at >> 32), 0, 0};
    apus_philox_rounds(c, (uint32_t)w->key, (uint32_t)(w->key >> 32));
    uint64_t radius_bits = ((uint64_t)c[1] << 32 | c[0]) >> 11;
    uint64_t angle_bits = ((uint64_t)c[3] << 32 | c[2]) >> 11;
    double radius = sqrt(-2.0 * log((double)(radius_bits + 1) * 0x1p-53));
    double normal = radius * cos(6.283185307179586 * ((double)angle_bits * 0x1p-53));
    double scaled = w->deviation * normal;
    w->out[i] = (float)(w->mean + scaled);
  }
}

void apus_philox_normal_f32(
    float *out, int64_t n, uint64_t key, uint64_t first, float mean, float deviation) {
  normal_work w = {.out = out, .n = n, .key = key, .first = first, .mean = mean, .deviation = deviation};
  // A draw costs about 16 times an ordinary element.
  apus_for(apus_ceil_div(n, 4096), n * 16, draw, &w);
}
