// Many small matrix products: rows x inputs times inputs x outputs, the sums held in registers.
#pragma once
#include "lanes.h"

namespace lowdose {

// Rows are worked on in groups of 6, 8 or 12: whatever divides this divides evenly.
constexpr int ROWS = 24;

// How many vectors of outputs are summed side by side. With their rows they must fit the registers: 32 of 64 bytes
// (AVX-512) or of 16 (NEON), 16 of 32 (AVX2).
constexpr int panel(int vectors) {
    if (LANES == 8) return vectors % 2 == 0 ? 2 : 1;
    return vectors % 3 == 0 ? 3 : vectors % 4 == 0 ? 4 : vectors % 2 == 0 ? 2 : 1;
}

template <int GROUP, int PANEL>
inline void multiply_group(const float* left, int row, const float* right, float* out, int out_row, int inputs) {
    vec sums[GROUP][PANEL] = {};
    for (int k = 0; k < inputs; k++) {
        vec outputs[PANEL];
#pragma GCC unroll 4
        for (int j = 0; j < PANEL; j++) outputs[j] = *reinterpret_cast<const vec*>(right + (k * PANEL + j) * LANES);
#pragma GCC unroll 12
        for (int i = 0; i < GROUP; i++) {
            const vec value = spread(left[i * row + k]);
#pragma GCC unroll 4
            for (int j = 0; j < PANEL; j++) sums[i][j] += value * outputs[j];
        }
    }
    for (int i = 0; i < GROUP; i++)
        for (int j = 0; j < PANEL; j++) *reinterpret_cast<vec*>(out + i * out_row + j * LANES) = sums[i][j];
}

template <int GROUP, int PANEL>
void multiply_panels(const float* left, int row, const float* right, float* out, int out_row, int inputs) {
    for (int at = 0; at < out_row; at += PANEL * LANES, right += inputs * PANEL * LANES)
        for (int i = 0; i < ROWS; i += GROUP)
            multiply_group<GROUP, PANEL>(left + i * row, row, right, out + i * out_row + at, out_row, inputs);
}

// (ROWS, row) x packed (inputs, out_row) -> (ROWS, out_row); `row` >= inputs.
inline void multiply(const float* left, int row, const float* right, float* out, int out_row, int inputs) {
    switch (panel(out_row / LANES)) {
        case 4: return multiply_panels<6, 4>(left, row, right, out, out_row, inputs);
        case 3: return multiply_panels<8, 3>(left, row, right, out, out_row, inputs);
        case 2: return multiply_panels<LANES == 8 ? 6 : 12, 2>(left, row, right, out, out_row, inputs);
        default: return multiply_panels<12, 1>(left, row, right, out, out_row, inputs);
    }
}

// Where the weight from `input` to `output` lies in a packed matrix.
inline size_t packed_at(int input, int output, int inputs, int outputs) {
    const int width = panel(whole_lanes(outputs) / LANES) * LANES;
    return (size_t(output / width) * inputs + input) * width + output % width;
}

}  // namespace lowdose
