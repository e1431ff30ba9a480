// Build for AVX-512: vectors of 512 bits.
#define LANES 16
#include "winograd.h"

LOWDOSE_MODULE(PyInit_avx512)
