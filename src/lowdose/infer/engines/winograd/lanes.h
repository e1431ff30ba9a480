// Vectors of LANES floats as a GCC/Clang vector extension: one source for AVX-512, AVX2, NEON and others.
#pragma once
#include <cstdlib>
#include <memory>

namespace lowdose {

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
// The same without alignment, for loads and stores at any address.
typedef float loose_vec __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));

inline vec load(const float* from) { return *reinterpret_cast<const loose_vec*>(from); }
inline void store(float* to, vec value) { *reinterpret_cast<loose_vec*>(to) = value; }
// A vector with `value` in every lane.
inline vec spread(float value) { return value - vec{}; }
// Number of channels rounded up to whole vectors.
constexpr int whole_lanes(int channels) { return (channels + LANES - 1) / LANES * LANES; }

struct Free { void operator()(float* memory) const { std::free(memory); } };
using Buffer = std::unique_ptr<float[], Free>;

// Memory aligned to a cache line; empty if the allocation failed.
inline Buffer buffer(size_t floats) {
    return Buffer(static_cast<float*>(std::aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64)));
}

}  // namespace lowdose
