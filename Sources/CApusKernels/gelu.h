// GELU and its slope, for one element in float32. Within 4 units in the last place of the largest
// intermediate; NaN gives NaN.
#ifndef APUS_GELU_H
#define APUS_GELU_H
#include "internal.h"

// 0.5 (1 + tanh(u)) is the sigmoid of 2u; this is 2u, with 2 sqrt(2/pi) multiplied in.
APUS_INLINE float apus_gelu_argument(float x) {
  APUS_FUSED_MATH
  return x * (1.5957691216f + 0.0713548163f * (x * x));
}

APUS_INLINE float apus_gelu(float x) { return x / (1.0f + apus_exp(-apus_gelu_argument(x))); }

// s + x s (1 - s) (2u)', with s the sigmoid of 2u and 1 - s = exp(-2u) s, which cancels no digits. Beyond
// +-10 the slope is 1 or 0 within 1e-35; the clamp keeps the exponential finite.
APUS_INLINE float apus_gelu_slope(float x) {
  APUS_FUSED_MATH
  float c = x > 10.0f ? 10.0f : x;
  c = c < -10.0f ? -10.0f : c;
  float e = apus_exp(-apus_gelu_argument(c)), s = 1.0f / (1.0f + e);
  return s + (c * s) * (e * s) * (1.5957691216f + 0.2140644488f * (c * c));
}
#endif
