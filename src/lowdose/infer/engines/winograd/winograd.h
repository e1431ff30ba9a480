// The C face of the convolutions. Included once for each kind of vector (LANES); which one serves is seen when loading.
#pragma once
#include "convolution.h"

#define EACH_TILE(CASE) CASE(4, 3) CASE(6, 3) CASE(4, 5) CASE(6, 5)

extern "C" {

int lowdose_lanes() { return LANES; }

// Floats that the packed weights need; 0 for a tile that is not there.
long lowdose_packed_size(int tile, int kernel, int outputs, int inputs) {
    const long points = long(tile + kernel - 1) * (tile + kernel - 1);
#define CASE(M, R) if (tile == M && kernel == R) return points * inputs * lowdose::whole_lanes(outputs);
    EACH_TILE(CASE)
#undef CASE
    return 0;
}

void lowdose_pack(int tile, int kernel, const float* filters, int outputs, int inputs, float* weights) {
#define CASE(M, R) if (tile == M && kernel == R) lowdose::Convolution<M, R>::pack(filters, outputs, inputs, weights);
    EACH_TILE(CASE)
#undef CASE
}

// 0 done, 1 not enough memory, 2 no such tile. `weights` as packed for it, on a cache line's border.
int lowdose_convolve(int tile, int kernel, const float* image, const float* weights, const float* bias,
                     const float* added, float* out, int count, int height, int width, int inputs, int outputs,
                     int padding, float before, float after, int threads) {
    const lowdose::Job job{image, weights, bias, added, out, count, height, width, inputs, outputs, padding,
                           height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1, before, after, threads};
#define CASE(M, R) if (tile == M && kernel == R) return lowdose::Convolution<M, R>(job).run() ? 0 : 1;
    EACH_TILE(CASE)
#undef CASE
    return 2;
}
}

// Nothing for Python to import: the functions above are called by address. Some linkers insist on the name.
#define LOWDOSE_MODULE(NAME) extern "C" void* NAME() { return nullptr; }
