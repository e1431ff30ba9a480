// Build for vectors of 128 bits, which every current processor has.
#define LANES 4
#include "winograd.h"

LOWDOSE_MODULE(PyInit_portable)
