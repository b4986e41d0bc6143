// The sum of squares for gradient clipping, for every element type.
#include "squares.h"

#define APUS_BODY "../squares_body.h"
#include "apus_each_element.h"
