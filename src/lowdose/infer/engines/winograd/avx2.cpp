// Build for AVX2: vectors of 256 bits.
#define LANES 8
#include "winograd.h"

LOWDOSE_MODULE(PyInit_avx2)
