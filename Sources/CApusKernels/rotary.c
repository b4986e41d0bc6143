// Rotary position embedding (Su et al. 2021, RoFormer), halves paired as in GPT-NeoX and Llama.
#include "element.h"

#define APUS_BODY "../rotary.h"
#include "apus_each_element.h"
