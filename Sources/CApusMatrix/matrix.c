// Matrix products: one oneDNN matmul primitive per product, plain row-major memory, user-managed scratch.
// The exceptions are `calls_gemm`, below, and products that copy their operands first (converted.c).
#include "apus_matrix.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "converted.h"
#include "onednn_versions.h"

// The arguments of one primitive: A, B, C, scratchpad and, when there is one, the bias.
enum { argument_a, argument_b, argument_c, argument_scratch, argument_bias, argument_capacity };

struct apus_product {
  apus_product_shape shape;
  int calls_gemm;                                // run dnnl_sgemm; there is no primitive then
  int converts;                                  // run apus_converted_run; there is no primitive then
  dnnl_primitive_t primitive;
  dnnl_exec_arg_t arguments[argument_capacity];  // in the order of the enum; memories owned here
  int argument_count;                            // how many of them oneDNN is given
  int64_t scratch_bytes;
  const char *implementation;                    // a string constant, oneDNN's or ours
};

// The one CPU engine and its stream. oneDNN wants an engine that outlives everything made from it, and
// the CPU engine has no state of its own, so one per process is enough: it is created behind pthread_once
// by whoever asks first, never changed after that, and lives as long as the process. Products of different
// threads may run at the same time: the CPU stream runs a primitive in the calling thread and keeps nothing.
typedef struct {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_status_t status;
  char version[32];
} apus_onednn;

static apus_onednn onednn;
static pthread_once_t onednn_once = PTHREAD_ONCE_INIT;

static void onednn_initialise(void) {
  const dnnl_version_t *version = dnnl_version();
  snprintf(onednn.version, sizeof onednn.version, "%d.%d.%d", version->major, version->minor, version->patch);
  onednn.status = dnnl_engine_create(&onednn.engine, dnnl_cpu, 0);
  if (onednn.status != dnnl_success) return;
  onednn.status = dnnl_stream_create(&onednn.stream, onednn.engine, dnnl_stream_default_flags);
}

static const apus_onednn *shared_onednn(void) {
  pthread_once(&onednn_once, onednn_initialise);
  return &onednn;
}

// Reports what is wrong with the numbers of `shape`, or returns 1.
static int shape_is_valid(const apus_product_shape *shape, char *message, size_t capacity) {
  if (shape->m < 1 || shape->n < 1 || shape->k < 1) {
    snprintf(message, capacity, "matrix product: M %lld, N %lld, K %lld; each must be at least 1",
        (long long)shape->m, (long long)shape->n, (long long)shape->k);
    return 0;
  }
  const struct { const char *name; int64_t stride, width; } operands[] = {
    {"A", shape->a_stride, shape->transpose_a ? shape->m : shape->k},
    {"B", shape->b_stride, shape->transpose_b ? shape->k : shape->n},
    {"C", shape->c_stride, shape->n},
  };
  for (int i = 0; i < 3; i++) {
    if (operands[i].stride >= operands[i].width) continue;
    snprintf(message, capacity, "matrix product: %s has rows of %lld numbers, but a stride of only %lld",
        operands[i].name, (long long)operands[i].width, (long long)operands[i].stride);
    return 0;
  }
  return 1;
}

// Describes a matrix of rows x columns as oneDNN sees it; `stored_transposed` says that its columns lie
// `stride` apart instead of its rows.
static dnnl_status_t describe(
    apus_layout *layout, apus_element type, int64_t rows, int64_t columns, int64_t stride,
    int stored_transposed) {
  const dnnl_dims_t dims = {rows, columns};
  const dnnl_dims_t strides = {stored_transposed ? 1 : stride, stored_transposed ? stride : 1};
  return apus_layout_init(layout, dims, type == APUS_F32 ? dnnl_f32 : dnnl_bf16, strides);
}

static int is_float32(const apus_product_shape *s) {
  return s->a_type == APUS_F32 && s->b_type == APUS_F32 && s->c_type == APUS_F32 &&
         (!s->has_bias || s->bias_type == APUS_F32);
}

// Whether oneDNN has a primitive for these types: two bf16 operands, C and bias float32 or bf16 (oneDNN
// manual, "Matrix Multiplication", data types: a float32 bias and C are allowed with bf16 operands).
static int is_bfloat16(const apus_product_shape *s) {
  return s->a_type == APUS_BF16 && s->b_type == APUS_BF16 && s->c_type != APUS_F16 &&
         (!s->has_bias || s->bias_type != APUS_F16);
}

// Whether the processor multiplies bf16 itself. Without the instructions oneDNN has no code, or emulates
// them in more time than float32 takes. Elsewhere than on x86 the name of the code decides alone.
static int multiplies_bfloat16(const char *implementation) {
  if (strncmp(implementation, "ref", 3) == 0) return 0;
#if defined(__x86_64__)
  const int wanted = dnnl_cpu_isa_avx512_core_bf16;
  return ((int)dnnl_get_effective_cpu_isa() & wanted) == wanted;
#else
  return 1;
#endif
}

// The attributes of a product: scratch from the caller; C += when it accumulates.
static dnnl_status_t describe_attributes(dnnl_primitive_attr_t *attributes, int accumulate) {
  dnnl_status_t status = dnnl_primitive_attr_create(attributes);
  if (status != dnnl_success) return status;
  status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
  if (status != dnnl_success || !accumulate) return status;
  dnnl_post_ops_t post_ops = NULL;
  status = dnnl_post_ops_create(&post_ops);
  if (status != dnnl_success) return status;
  status = apus_append_sum(post_ops);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*attributes, post_ops);
  dnnl_post_ops_destroy(post_ops);
  return status;
}

// Adds a memory object without an address: `apus_product_run` points it to data.
static dnnl_status_t add_argument(
    apus_product *product, int position, int name, apus_layout_reference layout) {
  dnnl_exec_arg_t *argument = &product->arguments[position];
  argument->arg = name;
  return dnnl_memory_create(&argument->memory, layout, shared_onednn()->engine, DNNL_MEMORY_NONE);
}

// Whether to call dnnl_sgemm instead of the primitive: when the primitive is that same GEMM ("gemm:...", what
// oneDNN picks below AVX-512) and the product accumulates without a bias. Both then run the same code, but
// the primitive takes the sum in a way that costs more: with oneDNN 2.6.3 on two Zen 3 cores, C += A^T B
// reaches 189 instead of 187 GFLOP/s at 768 x 2304 x 1024 and 184 instead of 174 at 50257 x 768 x 256. No
// other form differed. Where oneDNN has better code than its GEMM (AVX-512, AMX, Arm), the primitive stays.
static int calls_gemm(const apus_product_shape *shape, const char *implementation) {
  return shape->accumulate && !shape->has_bias && strncmp(implementation, "gemm:", 5) == 0;
}

// Whether crowded operands are copied first. Asked only of oneDNN's AVX2 GEMM: other code packs its operands.
static int spreads_operands(const apus_product_shape *shape, const char *implementation) {
#if defined(__x86_64__)
  const unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
  const int is_avx2 = (isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2 &&
                      (isa & dnnl_cpu_isa_avx512_core) != dnnl_cpu_isa_avx512_core;
  return is_avx2 && is_float32(shape) && strncmp(implementation, "gemm:", 5) == 0 &&
         apus_spreading_helps(shape);
#else
  (void)shape, (void)implementation;
  return 0;
#endif
}

// Makes a product that copies its operands first, without a primitive.
static void convert(apus_product *product) {
  product->converts = 1;
  product->implementation = is_float32(&product->shape) ? "spread:sgemm" : "convert:sgemm";
  product->scratch_bytes = apus_converted_scratch_bytes(&product->shape);
}

// Makes the primitive and its memory objects, or what replaces it. Returns the first status that is not success.
static dnnl_status_t build(
    apus_product *product, const apus_product_shape *shape, const apus_layout *a, const apus_layout *b,
    const apus_layout *c, const apus_layout *bias, const_dnnl_primitive_attr_t attributes) {
  dnnl_primitive_desc_t descriptor = NULL;
  dnnl_status_t status = apus_matmul_descriptor(
      &descriptor, shared_onednn()->engine, a, b, shape->has_bias ? bias : NULL, c, attributes);
  if (status != dnnl_success) return status;
  status = dnnl_primitive_desc_query(descriptor, dnnl_query_impl_info_str, 0, &product->implementation);
  const int is_slow = status == dnnl_success &&
                      (is_float32(shape) ? spreads_operands(shape, product->implementation)
                                         : !multiplies_bfloat16(product->implementation));
  if (is_slow) {
    convert(product);
  } else if (status == dnnl_success && is_float32(shape) && calls_gemm(shape, product->implementation)) {
    product->calls_gemm = 1;
    product->implementation = "sgemm";
  } else if (status == dnnl_success) {
    const apus_layout_reference scratch =
        dnnl_primitive_desc_query_md(descriptor, dnnl_query_scratchpad_md, 0);
    product->scratch_bytes = scratch == NULL ? 0 : (int64_t)dnnl_memory_desc_get_size(scratch);
    const struct { int name; apus_layout_reference layout; } arguments[argument_capacity] = {
      {DNNL_ARG_SRC, apus_layout_refer(a)},
      {DNNL_ARG_WEIGHTS, apus_layout_refer(b)},
      {DNNL_ARG_DST, apus_layout_refer(c)},
      {DNNL_ARG_SCRATCHPAD, scratch},
      {DNNL_ARG_BIAS, apus_layout_refer(bias)},
    };
    product->argument_count = shape->has_bias ? argument_capacity : argument_bias;
    status = dnnl_primitive_create(&product->primitive, descriptor);
    for (int i = 0; i < product->argument_count && status == dnnl_success; i++) {
      status = add_argument(product, i, arguments[i].name, arguments[i].layout);
    }
  }
  dnnl_primitive_desc_destroy(descriptor);
  return status;
}

apus_product *apus_product_create(const apus_product_shape *shape, char *message, int64_t capacity) {
  const size_t room = message == NULL || capacity < 0 ? 0 : (size_t)capacity;
  if (!shape_is_valid(shape, message, room)) return NULL;
  dnnl_status_t status = shared_onednn()->status;
  if (status != dnnl_success) {
    snprintf(message, room, "oneDNN %s: no CPU engine (%s)", onednn.version, dnnl_status2str(status));
    return NULL;
  }
  apus_product *product = calloc(1, sizeof *product);
  if (product == NULL) {
    snprintf(message, room, "matrix product: out of memory");
    return NULL;
  }
  product->shape = *shape;
  if (!is_float32(shape) && !is_bfloat16(shape)) {
    convert(product);
    return product;
  }
  apus_layout a = {0}, b = {0}, c = {0}, bias = {0};
  dnnl_primitive_attr_t attributes = NULL;
  const apus_product_shape *s = shape;
  status = describe(&a, s->a_type, s->m, s->k, s->a_stride, s->transpose_a);
  if (status == dnnl_success) status = describe(&b, s->b_type, s->k, s->n, s->b_stride, s->transpose_b);
  if (status == dnnl_success) status = describe(&c, s->c_type, s->m, s->n, s->c_stride, 0);
  if (status == dnnl_success) status = describe(&bias, s->bias_type, 1, s->n, s->n, 0);
  if (status == dnnl_success) status = describe_attributes(&attributes, s->accumulate);
  if (status == dnnl_success) status = build(product, s, &a, &b, &c, &bias, attributes);
  apus_layout_destroy(&a);
  apus_layout_destroy(&b);
  apus_layout_destroy(&c);
  apus_layout_destroy(&bias);
  if (attributes != NULL) dnnl_primitive_attr_destroy(attributes);
  if (status == dnnl_success) return product;
  // The library has no code for bf16 on this processor.
  if (status == dnnl_unimplemented && !is_float32(shape)) {
    convert(product);
    return product;
  }
  snprintf(message, room, "oneDNN %s: no product of M %lld, N %lld, K %lld (%s)", onednn.version,
      (long long)shape->m, (long long)shape->n, (long long)shape->k, dnnl_status2str(status));
  apus_product_destroy(product);
  return NULL;
}

int64_t apus_product_scratch_bytes(const apus_product *product) { return product->scratch_bytes; }

const char *apus_product_implementation(const apus_product *product) { return product->implementation; }

int apus_product_run(
    apus_product *product, const void *a, const void *b, void *c, const void *bias, void *scratch) {
  const apus_product_shape *shape = &product->shape;
  if (product->calls_gemm) {
    return dnnl_sgemm(
        shape->transpose_a ? 'T' : 'N', shape->transpose_b ? 'T' : 'N', shape->m, shape->n, shape->k, 1.0f, a,
        shape->a_stride, b, shape->b_stride, 1.0f, c, shape->c_stride);
  }
  if (shape->has_bias && bias == NULL) return dnnl_invalid_arguments;
  if (product->scratch_bytes > 0 && scratch == NULL) return dnnl_invalid_arguments;
  if (product->converts) return apus_converted_run(shape, a, b, c, bias, scratch);
  // oneDNN's memory objects hold pointers to non-const; the primitive only writes C and the scratch.
  void *addresses[argument_capacity] = {(void *)a, (void *)b, c, scratch, (void *)bias};
  for (int i = 0; i < product->argument_count; i++) {
    const dnnl_status_t status = dnnl_memory_set_data_handle(product->arguments[i].memory, addresses[i]);
    if (status != dnnl_success) return status;
  }
  const dnnl_stream_t stream = shared_onednn()->stream;
  const dnnl_status_t status =
      dnnl_primitive_execute(product->primitive, stream, product->argument_count, product->arguments);
  if (status != dnnl_success) return status;
  return dnnl_stream_wait(stream);
}

void apus_product_fault(const apus_product *product, int status, char *message, int64_t capacity) {
  const apus_product_shape *s = &product->shape;
  snprintf(message, (size_t)capacity,
      "oneDNN %s, %s: product of M %lld, N %lld, K %lld, strides %lld, %lld, %lld: %s", onednn.version,
      product->implementation, (long long)s->m, (long long)s->n, (long long)s->k, (long long)s->a_stride,
      (long long)s->b_stride, (long long)s->c_stride, dnnl_status2str((dnnl_status_t)status));
}

void apus_product_destroy(apus_product *product) {
  if (product == NULL) return;
  for (int i = 0; i < argument_capacity; i++) {
    if (product->arguments[i].memory != NULL) dnnl_memory_destroy(product->arguments[i].memory);
  }
  if (product->primitive != NULL) dnnl_primitive_destroy(product->primitive);
  free(product);
}

const char *apus_matrix_library_version(void) { return shared_onednn()->version; }

const char *apus_matrix_library_isa(void) {
  static const char prefix[] = "cpu_isa_";
  const char *name = dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa());
  return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
}
