// What differs between oneDNN 2.x and 3.x, behind one set of names. Nothing else in this target tests
// the version.
//
// 2.x: memory descriptors are plain structs, a primitive descriptor is made from an operation descriptor,
// and the sum post-op has one parameter. 3.x: memory descriptors are opaque and must be destroyed, the
// primitive descriptor is made directly, and the sum post-op has a zero point and a type.
#ifndef APUS_ONEDNN_VERSIONS_H
#define APUS_ONEDNN_VERSIONS_H
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stddef.h>

#if DNNL_VERSION_MAJOR < 2 || DNNL_VERSION_MAJOR > 3
#error "Apus needs oneDNN 2.x or 3.x (Debian: libdnnl-dev)"
#endif

#if DNNL_VERSION_MAJOR == 2

typedef dnnl_memory_desc_t apus_layout;
typedef const dnnl_memory_desc_t *apus_layout_reference;

static inline apus_layout_reference apus_layout_refer(const apus_layout *layout) { return layout; }
static inline void apus_layout_destroy(apus_layout *layout) { (void)layout; }

static inline dnnl_status_t apus_layout_init(
    apus_layout *layout, const dnnl_dims_t dims, dnnl_data_type_t type, const dnnl_dims_t strides) {
  return dnnl_memory_desc_init_by_strides(layout, 2, dims, type, strides);
}

static inline dnnl_status_t apus_append_sum(dnnl_post_ops_t post_ops) {
  return dnnl_post_ops_append_sum(post_ops, 1.0f);
}

static inline dnnl_status_t apus_matmul_descriptor(
    dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine, const apus_layout *a, const apus_layout *b,
    const apus_layout *bias, const apus_layout *c, const_dnnl_primitive_attr_t attributes) {
  dnnl_matmul_desc_t operation;
  const dnnl_status_t status = dnnl_matmul_desc_init(&operation, a, b, bias, c);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(descriptor, &operation, attributes, engine, NULL);
}

#else

typedef dnnl_memory_desc_t apus_layout;
typedef const_dnnl_memory_desc_t apus_layout_reference;

static inline apus_layout_reference apus_layout_refer(const apus_layout *layout) { return *layout; }
static inline void apus_layout_destroy(apus_layout *layout) {
  if (*layout != NULL) dnnl_memory_desc_destroy(*layout);
  *layout = NULL;
}

static inline dnnl_status_t apus_layout_init(
    apus_layout *layout, const dnnl_dims_t dims, dnnl_data_type_t type, const dnnl_dims_t strides) {
  return dnnl_memory_desc_create_with_strides(layout, 2, dims, type, strides);
}

static inline dnnl_status_t apus_append_sum(dnnl_post_ops_t post_ops) {
  return dnnl_post_ops_append_sum(post_ops, 1.0f, 0, dnnl_data_type_undef);
}

static inline dnnl_status_t apus_matmul_descriptor(
    dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine, const apus_layout *a, const apus_layout *b,
    const apus_layout *bias, const apus_layout *c, const_dnnl_primitive_attr_t attributes) {
  return dnnl_matmul_primitive_desc_create(
      descriptor, engine, *a, *b, bias == NULL ? NULL : *bias, *c, attributes);
}

#endif
#endif
