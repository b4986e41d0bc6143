// The element types of attention: packing, storing, row sums, and the kernels' faces.
#include "attention.h"
#include "element.h"

#define APUS_BODY "../attention_elements.h"
#include "apus_each_element.h"

static const apus_attention_element elements[] = {
    {sizeof(float), apus_pack_panels_f32, apus_store_rows_f32, apus_head_dots_f32},
    {sizeof(apus_bf16), apus_pack_panels_bf16, apus_store_rows_bf16, apus_head_dots_bf16},
    {sizeof(apus_f16), apus_pack_panels_f16, apus_store_rows_f16, apus_head_dots_f16},
};

const apus_attention_element *apus_attention_element_of(apus_element type) { return &elements[type]; }
