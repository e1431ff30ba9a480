// For 128-bit vectors, which every processor of today has.
#define LANES 4
#include "winograd.h"

LOWDOSE_MODULE(PyInit_portable)
