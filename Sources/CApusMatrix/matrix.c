#include "apus_matrix.h"
