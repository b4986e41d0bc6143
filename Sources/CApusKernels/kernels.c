#include "apus_kernels.h"
