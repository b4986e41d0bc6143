// Part of scripts/check-onednn3: every form of a small product, in float32 and bf16, against a plain loop.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apus_matrix.h"

enum { m = 5, n = 7, k = 9, stride = 12 };

// Every number is exact in bf16.
static float number(int i) { return (float)(i * 37 % 19 - 9) / 8.0f; }

// One stored matrix or row of either type.
typedef struct {
  apus_element type;
  float wide[stride * stride];
  apus_bf16 narrow[stride * stride];
} numbers;

static void fill(numbers *x, apus_element type, int first) {
  x->type = type;
  for (int i = 0; i < stride * stride; i++) {
    uint32_t bits;
    x->wide[i] = number(i + first);
    memcpy(&bits, &x->wide[i], sizeof bits);
    x->narrow[i] = (apus_bf16)(bits >> 16);
  }
}

static void *address(numbers *x) { return x->type == APUS_F32 ? (void *)x->wide : (void *)x->narrow; }

static float element(const numbers *x, int i) {
  if (x->type == APUS_F32) return x->wide[i];
  const uint32_t bits = (uint32_t)x->narrow[i] << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Runs one form; returns how many elements of C are wrong, or -1 when oneDNN refuses.
static int wrong_elements(int form, apus_element operands, apus_element result, const char **implementation) {
  const int transpose_a = form & 1, transpose_b = form >> 1 & 1, accumulate = form >> 2 & 1;
  const int has_bias = form >> 3 & 1;
  const apus_product_shape shape = {
    .m = m, .n = n, .k = k, .a_stride = stride, .b_stride = stride, .c_stride = stride,
    .transpose_a = transpose_a, .transpose_b = transpose_b, .accumulate = accumulate, .has_bias = has_bias,
    .a_type = operands, .b_type = operands, .c_type = result, .bias_type = operands};
  char message[256] = "";
  apus_product *product = apus_product_create(&shape, message, sizeof message);
  if (product == NULL) return puts(message), -1;
  static numbers a, b, c, bias;
  fill(&a, operands, 0);
  fill(&b, operands, 5);
  fill(&c, result, 11);
  fill(&bias, operands, 3);
  void *scratch = malloc((size_t)apus_product_scratch_bytes(product) + 1);
  const int status =
      apus_product_run(product, address(&a), address(&b), address(&c), has_bias ? address(&bias) : NULL, scratch);
  free(scratch);
  *implementation = apus_product_implementation(product);
  apus_product_destroy(product);
  if (status != 0) return printf("oneDNN status %d\n", status), -1;
  int wrong = 0;
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < stride; j++) {
      double expected = j >= n || accumulate ? number(i * stride + j + 11) : 0;
      if (j < n && has_bias) expected += number(j + 3);
      for (int l = 0; l < k && j < n; l++) {
        expected += (double)number(transpose_a ? l * stride + i : i * stride + l)
            * number((transpose_b ? j * stride + l : l * stride + j) + 5);
      }
      const double tolerance = result == APUS_F32 ? 1e-5 : fabs(expected) / 256;
      if (fabs(element(&c, i * stride + j) - expected) > tolerance) wrong++;
    }
  }
  return wrong;
}

int main(void) {
  printf("oneDNN %s, %s\n", apus_matrix_library_version(), apus_matrix_library_isa());
  const struct { const char *name; apus_element operands, result; } kinds[] = {
    {"float32", APUS_F32, APUS_F32}, {"bf16 to float32", APUS_BF16, APUS_F32}, {"bf16", APUS_BF16, APUS_BF16}};
  int failures = 0;
  for (int kind = 0; kind < 3; kind++) {
    const char *implementation = "";
    int wrong_forms = 0;
    for (int form = 0; form < 16; form++) {
      const int wrong = wrong_elements(form, kinds[kind].operands, kinds[kind].result, &implementation);
      if (wrong != 0) wrong_forms++, printf("%s, form %d: %d\n", kinds[kind].name, form, wrong);
    }
    printf("%s (%s): %d of 16 forms of a product wrong\n", kinds[kind].name, implementation, wrong_forms);
    failures += wrong_forms;
  }
  return failures != 0;
}
