// Minimal filtering F(M x M, R x R) (Winograd 1980; Lavin & Gray, CVPR 2016): the transforms of one tile.
//
// Polynomials are evaluated at N = M + R - 1 points: 0, K pairs +-q, and infinity. A tile of N x N inputs gives M x M
// outputs with N^2 products instead of M^2 R^2. Points in pairs halve the work: a point and its opposite need the same
// sums of even and of odd terms. The points were chosen for the smallest rounding error on random data in float32; rows
// of the transforms are scaled by powers of two, so that no table entry is far from 1.
#pragma once
#include "lanes.h"

namespace lowdose {

// The points q of the pairs +-q.
template <int K> struct Pairs;
template <> struct Pairs<2> { static constexpr double q[] = {2. / 3, 3. / 2}; };
template <> struct Pairs<3> { static constexpr double q[] = {1. / 2, 1, 2}; };
template <> struct Pairs<4> { static constexpr double q[] = {3. / 8, 3. / 4, 4. / 3, 5. / 2}; };

constexpr double magnitude(double x) { return x < 0 ? -x : x; }

constexpr double power(double x, int exponent) {
    double result = 1;
    for (int i = 0; i < exponent; i++) result *= x;
    return result;
}

// The power of two nearest to x on a logarithmic scale.
constexpr double power_of_two_near(double x) {
    double result = 1;
    while (result * 1.41421356 < x) result *= 2;
    while (result > x * 1.41421356) result /= 2;
    return result;
}

// Coefficients, lowest power first, of the monic polynomial that is the product of (z - q^2) over all pairs except
// `left_out` (-1: none is left out).
template <int K> constexpr void product(double (&coefficients)[K + 1], int left_out) {
    for (int i = 0; i <= K; i++) coefficients[i] = i == 0;
    int degree = 0;
    for (int pair = 0; pair < K; pair++) {
        if (pair == left_out) continue;
        const double square = Pairs<K>::q[pair] * Pairs<K>::q[pair];
        for (int i = ++degree; i >= 0; i--) coefficients[i] = (i ? coefficients[i - 1] : 0) - square * coefficients[i];
    }
}

// Transforms of a tile of M x M outputs for filters of R x R.
template <int M, int R> struct Tile {
    static constexpr int N = M + R - 1, K = (N - 2) / 2;
    static_assert(N == 2 * K + 2, "points come in pairs");

    struct Tables {
        float whole[K + 1];              // factors of the even inputs for point 0, of the odd ones for infinity
        float even[K][K], odd[K][K];     // factors of inputs 2, 4, ... and 1, 3, ... for each pair
        float powers[M][K];              // q^i: factor of a point's product in output i
        double whole_scale, scale[K];    // factors of the input rows; filter rows are divided by them
    };

    static constexpr Tables make() {
        Tables t{};
        double p[K + 1]{}, sum = 0;
        product<K>(p, -1);
        for (double c : p) sum += magnitude(c);
        t.whole_scale = 1 / power_of_two_near(sum);
        for (int i = 0; i <= K; i++) t.whole[i] = float(p[i] * t.whole_scale);
        for (int pair = 0; pair < K; pair++) {
            const double q = Pairs<K>::q[pair];
            product<K>(p, pair);
            sum = 0;
            for (int i = 0; i < K; i++) sum += magnitude(p[i]) * (1 + q);
            t.scale[pair] = 1 / power_of_two_near(sum);
            for (int i = 0; i < K; i++) {
                t.even[pair][i] = float(p[i] * t.scale[pair]);
                t.odd[pair][i] = float(q * p[i] * t.scale[pair]);
            }
            for (int i = 0; i < M; i++) t.powers[i][pair] = float(power(q, i));
        }
        return t;
    }
    static constexpr Tables tables = make();

    // Filter transform in double precision; row j: powers of point j, over the product of its distances to the others.
    static void filter_rows(double (&rows)[N][R]) {
        double points[N - 1] = {0};
        for (int pair = 0; pair < K; pair++) {
            points[1 + 2 * pair] = Pairs<K>::q[pair];
            points[2 + 2 * pair] = -Pairs<K>::q[pair];
        }
        for (int j = 0; j < N - 1; j++) {
            double distances = j ? tables.scale[(j - 1) / 2] : tables.whole_scale;
            for (int other = 0; other < N - 1; other++)
                if (other != j) distances *= points[j] - points[other];
            for (int k = 0; k < R; k++) rows[j][k] = power(points[j], k) / distances;
        }
        for (int k = 0; k < R; k++) rows[N - 1][k] = k == R - 1 ? 1 / tables.whole_scale : 0;
    }

    // Input transform along one axis: N inputs -> N values, `stride` apart, at the points 0, +q, -q, ..., infinity.
    static inline void enter(const vec* x, vec* out, int stride) {
        vec zero = x[0] * tables.whole[0], infinity = x[1] * tables.whole[0];
#pragma GCC unroll 8
        for (int i = 1; i <= K; i++) {
            zero += x[2 * i] * tables.whole[i];
            infinity += x[2 * i + 1] * tables.whole[i];
        }
        out[0] = zero;
        out[(N - 1) * stride] = infinity;
#pragma GCC unroll 8
        for (int pair = 0; pair < K; pair++) {
            vec even = x[2] * tables.even[pair][0], odd = x[1] * tables.odd[pair][0];
#pragma GCC unroll 8
            for (int i = 1; i < K; i++) {
                even += x[2 * i + 2] * tables.even[pair][i];
                odd += x[2 * i + 1] * tables.odd[pair][i];
            }
            out[(1 + 2 * pair) * stride] = even + odd;
            out[(2 + 2 * pair) * stride] = even - odd;
        }
    }

    // Output transform along one axis: N products -> M outputs, `stride` apart.
    static inline void leave(const vec* x, vec* out, int stride) {
        vec sum[K], difference[K];
#pragma GCC unroll 8
        for (int pair = 0; pair < K; pair++) {
            sum[pair] = x[1 + 2 * pair] + x[2 + 2 * pair];
            difference[pair] = x[1 + 2 * pair] - x[2 + 2 * pair];
        }
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
            vec y = i == 0 ? x[0] : i == M - 1 ? x[N - 1] : vec{};
#pragma GCC unroll 8
            for (int pair = 0; pair < K; pair++) y += (i % 2 ? difference : sum)[pair] * tables.powers[i][pair];
            out[i * stride] = y;
        }
    }
};

}  // namespace lowdose
