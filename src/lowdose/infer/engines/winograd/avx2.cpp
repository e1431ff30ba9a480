// For AVX2.
#define LANES 8
#include "winograd.h"

LOWDOSE_MODULE(PyInit_avx2)
