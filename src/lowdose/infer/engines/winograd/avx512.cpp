// For AVX-512.
#define LANES 16
#include "winograd.h"

LOWDOSE_MODULE(PyInit_avx512)
