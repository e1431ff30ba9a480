// Products of small matrices, (rows x inputs) times (inputs x outputs), with the sums held in registers.
#pragma once
#include "lanes.h"

namespace lowdose {

// Number of rows of a product. It is a multiple of 6, 8 and 12, the numbers of rows that are processed together.
constexpr int ROWS = 24;

// Number of output vectors summed side by side, for a row of `vectors` output vectors. Times the rows processed
// together they must fit the registers: 32 of 64 bytes (AVX-512) or of 16 bytes (NEON), 16 of 32 bytes (AVX2).
constexpr int panel(int vectors) {
    if (LANES == 8) return vectors % 2 == 0 ? 2 : 1;
    return vectors % 3 == 0 ? 3 : vectors % 4 == 0 ? 4 : vectors % 2 == 0 ? 2 : 1;
}

// GROUP rows of `left` times PANEL output vectors of `right`. `row` and `out_row` are the lengths of a row in memory.
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

// All ROWS rows times all outputs, panel by panel.
template <int GROUP, int PANEL>
void multiply_panels(const float* left, int row, const float* right, float* out, int out_row, int inputs) {
    for (int at = 0; at < out_row; at += PANEL * LANES, right += inputs * PANEL * LANES)
        for (int i = 0; i < ROWS; i += GROUP)
            multiply_group<GROUP, PANEL>(left + i * row, row, right, out + i * out_row + at, out_row, inputs);
}

// (ROWS, row) times packed (inputs, out_row) -> (ROWS, out_row). Rows of `left` may be longer than needed:
// `row` >= inputs.
inline void multiply(const float* left, int row, const float* right, float* out, int out_row, int inputs) {
    switch (panel(out_row / LANES)) {
        case 4: return multiply_panels<6, 4>(left, row, right, out, out_row, inputs);
        case 3: return multiply_panels<8, 3>(left, row, right, out, out_row, inputs);
        case 2: return multiply_panels<LANES == 8 ? 6 : 12, 2>(left, row, right, out, out_row, inputs);
        default: return multiply_panels<12, 1>(left, row, right, out, out_row, inputs);
    }
}

// Offset of the weight from `input` to `output` in a packed matrix.
inline size_t packed_at(int input, int output, int inputs, int outputs) {
    const int width = panel(whole_lanes(outputs) / LANES) * LANES;
    return (size_t(output / width) * inputs + input) * width + output % width;
}

}  // namespace lowdose
