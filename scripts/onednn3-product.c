// Part of scripts/check-onednn3: every form of a small product, against a plain loop.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "apus_matrix.h"

enum { m = 5, n = 7, k = 9, stride = 12 };

static float number(int i) { return (float)(i * 37 % 19 - 9) / 8.0f; }

// Runs one form; returns how many elements of C are wrong, or -1 when oneDNN refuses.
static int wrong_elements(int transpose_a, int transpose_b, int accumulate, int has_bias) {
  const apus_product_shape shape = {
    .m = m, .n = n, .k = k, .a_stride = stride, .b_stride = stride, .c_stride = stride,
    .transpose_a = transpose_a, .transpose_b = transpose_b, .accumulate = accumulate, .has_bias = has_bias};
  char message[256] = "";
  apus_product *product = apus_product_create(&shape, message, sizeof message);
  if (product == NULL) return puts(message), -1;
  float a[stride * stride], b[stride * stride], c[stride * stride], bias[n];
  for (int i = 0; i < stride * stride; i++) a[i] = number(i), b[i] = number(i + 5), c[i] = number(i + 11);
  for (int i = 0; i < n; i++) bias[i] = number(i + 3);
  void *scratch = malloc((size_t)apus_product_scratch_bytes(product) + 1);
  const int status = apus_product_run(product, a, b, c, has_bias ? bias : NULL, scratch);
  free(scratch);
  apus_product_destroy(product);
  if (status != 0) return printf("oneDNN status %d\n", status), -1;
  int wrong = 0;
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < stride; j++) {
      double expected = j >= n || accumulate ? number(i * stride + j + 11) : 0;
      if (j < n && has_bias) expected += bias[j];
      for (int l = 0; l < k && j < n; l++) {
        expected += (double)a[transpose_a ? l * stride + i : i * stride + l]
            * b[transpose_b ? j * stride + l : l * stride + j];
      }
      if (fabs(c[i * stride + j] - expected) > 1e-5) wrong++;
    }
  }
  return wrong;
}

int main(void) {
  printf("oneDNN %s, %s\n", apus_matrix_library_version(), apus_matrix_library_isa());
  int failures = 0;
  for (int form = 0; form < 16; form++) {
    const int wrong = wrong_elements(form & 1, form >> 1 & 1, form >> 2 & 1, form >> 3 & 1);
    if (wrong != 0) failures++, printf("form %d: %d\n", form, wrong);
  }
  printf("%d of 16 forms of a product wrong\n", failures);
  return failures != 0;
}
