// C interface of the convolutions. Compiled once for each vector width (LANES); the fastest build that the processor
// supports is chosen when the library is loaded (library.py).
#pragma once
#include "convolution.h"

#define EACH_TILE(CASE) CASE(4, 3) CASE(6, 3) CASE(4, 5) CASE(6, 5)

extern "C" {

// Number of floats in a vector.
int lowdose_lanes() { return LANES; }

// Number of floats that the packed weights take; 0 for a tile size that is not compiled in.
long lowdose_packed_size(int tile, int kernel, int outputs, int inputs) {
    const long points = long(tile + kernel - 1) * (tile + kernel - 1);
#define CASE(M, R) if (tile == M && kernel == R) return points * inputs * lowdose::whole_lanes(outputs);
    EACH_TILE(CASE)
#undef CASE
    return 0;
}

// Transforms filters (outputs, inputs, kernel, kernel) and packs them into `weights`, which lowdose_packed_size sizes.
void lowdose_pack(int tile, int kernel, const float* filters, int outputs, int inputs, float* weights) {
#define CASE(M, R) if (tile == M && kernel == R) lowdose::Convolution<M, R>::pack(filters, outputs, inputs, weights);
    EACH_TILE(CASE)
#undef CASE
}

// Computes the convolution that Job in convolution.h describes. `weights`: packed for this tile and kernel, aligned to
// a cache line. Returns 0 on success, 1 if there is not enough memory, 2 for a tile size that is not compiled in.
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

// Python calls the functions above through ctypes and never imports the library as a module, but some linkers require
// that the initialisation function of an extension module exists.
#define LOWDOSE_MODULE(NAME) extern "C" void* NAME() { return nullptr; }
