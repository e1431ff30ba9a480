// Convolution by tiles in float32: transform ROWS tiles, multiply point by point, transform back, add, activate.
//
// Each thread processes only as many tiles at a time as fit the second-level cache, so that each image is read from and
// written to main memory only once.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

#include "products.h"
#include "tiles.h"

namespace lowdose {

// One convolution of a batch of `count` images in channels-last layout: all channels of a pixel lie together.
// out = activate(activate(conv + bias, before) + added, after), where activate(x, slope) = max(x, slope x): a slope of
// 0 is a ReLU, 1 no activation. bias and added may be null.
struct Job {
    const float *image, *weights, *bias, *added;
    float* out;
    int count, height, width, inputs, outputs, padding, out_height, out_width;
    float before, after;
    int threads;
};

inline vec activate(vec x, float slope) {
    const vec small = x * slope;
    return x > small ? x : small;
}

template <int M, int R> class Convolution {
    using T = Tile<M, R>;
    static constexpr int N = T::N, POINTS = N * N;

    const Job& job;
    const int in_row, out_row, down, across;  // channels in whole vectors; tiles of an image along y and x
    const long tiles;                         // tiles of all images

    // Distance in memory between the matrices of two points: one vector more than a matrix takes. Without it the
    // addresses of all points would map to the same lines of the cache and evict one another.
    size_t entered_stride() const { return size_t(ROWS) * in_row + LANES; }
    size_t product_stride() const { return size_t(ROWS) * out_row + LANES; }

    // Image of a tile, and its first output pixel.
    struct Place { long image; int y, x; };
    Place place(long tile) const {
        return {tile / (down * across), int(tile / across % down) * M, int(tile % across) * M};
    }

    // Inputs of a tile in memory, with the distances of its rows and columns.
    struct View { const float* at; size_t row, column; };

    // The N x N inputs of a tile: in place, or, if they extend past the edge or have channels that do not fill whole
    // vectors, as a copy padded with zeros.
    View inputs_of(Place p, float* copy) const {
        const int top = p.y - job.padding, left = p.x - job.padding, c = job.inputs;
        const float* image = job.image + size_t(p.image) * job.height * job.width * c;
        if (top >= 0 && left >= 0 && top + N <= job.height && left + N <= job.width && c == in_row)
            return {image + (size_t(top) * job.width + left) * c, size_t(job.width) * c, size_t(c)};
        std::fill_n(copy, size_t(POINTS) * in_row, 0.f);
        for (int i = std::max(0, -top); i < std::min(N, job.height - top); i++)
            for (int j = std::max(0, -left); j < std::min(N, job.width - left); j++)
                std::copy_n(image + (size_t(top + i) * job.width + left + j) * c, c, copy + size_t(i * N + j) * in_row);
        return {copy, size_t(N) * in_row, size_t(in_row)};
    }

    // Transforms the inputs of a tile along both axes; every point is stored in a matrix of its own.
    void enter(const View& view, float* entered) const {
        for (int c = 0; c < in_row; c += LANES) {
            vec half[N][N], line[N];
            for (int j = 0; j < N; j++) {
                for (int i = 0; i < N; i++) line[i] = load(view.at + i * view.row + j * view.column + c);
                T::enter(line, &half[0][j], N);
            }
            for (int i = 0; i < N; i++) {
                T::enter(half[i], line, 1);
                for (int j = 0; j < N; j++)
                    *reinterpret_cast<vec*>(entered + (i * N + j) * entered_stride() + c) = line[j];
            }
        }
    }

    // Transforms the products of a tile back along both axes and writes the outputs that lie inside the image.
    void leave(const float* product, Place p) const {
        const int rows = std::min(M, job.out_height - p.y), columns = std::min(M, job.out_width - p.x);
        for (int c = 0; c < out_row; c += LANES) {
            vec half[M][N], line[N];
            for (int j = 0; j < N; j++) {
                for (int i = 0; i < N; i++)
                    line[i] = *reinterpret_cast<const vec*>(product + (i * N + j) * product_stride() + c);
                T::leave(line, &half[0][j], N);
            }
            const int channels = std::min(LANES, job.outputs - c);
            vec bias = {};
            if (job.bias) std::memcpy(&bias, job.bias + c, channels * sizeof(float));
            for (int i = 0; i < rows; i++) {
                T::leave(half[i], line, 1);
                const size_t pixel = (size_t(p.image) * job.out_height + p.y + i) * job.out_width + p.x;
                for (int j = 0; j < columns; j++) finish(line[j] + bias, (pixel + j) * job.outputs + c, channels);
            }
        }
    }

    // Applies activation, sum and activation to one pixel and stores it.
    inline void finish(vec value, size_t at, int channels) const {
        if (job.before != 1) value = activate(value, job.before);
        if (job.added) {
            vec added = {};
            if (channels == LANES) added = load(job.added + at);
            else std::memcpy(&added, job.added + at, channels * sizeof(float));
            value += added;
        }
        if (job.after != 1) value = activate(value, job.after);
        if (channels == LANES) store(job.out + at, value);
        else std::memcpy(job.out + at, &value, channels * sizeof(float));
    }

    // Processes up to ROWS tiles from the tile `first`, with the work memory of one thread.
    void block(long first, float* entered, float* product, float* copy) const {
        const int count = int(std::min<long>(ROWS, tiles - first));
        for (int i = 0; i < count; i++) enter(inputs_of(place(first + i), copy), entered + size_t(i) * in_row);
        for (int point = 0; point < POINTS; point++)
            multiply(entered + point * entered_stride(), in_row, job.weights + size_t(point) * job.inputs * out_row,
                     product + point * product_stride(), out_row, job.inputs);
        for (int i = 0; i < count; i++) leave(product + size_t(i) * out_row, place(first + i));
    }

  public:
    explicit Convolution(const Job& given)
        : job(given), in_row(whole_lanes(given.inputs)), out_row(whole_lanes(given.outputs)),
          down((given.out_height + M - 1) / M), across((given.out_width + M - 1) / M),
          tiles(long(given.count) * down * across) {}

    // Computes the convolution; returns false if there is not enough memory.
    bool run() const {
        const long blocks = (tiles + ROWS - 1) / ROWS;
        const int threads = int(std::max<long>(1, std::min<long>(job.threads, blocks)));
        std::vector<Buffer> entered, product, copy;
        for (int i = 0; i < threads; i++) {
            entered.push_back(buffer(POINTS * entered_stride()));
            product.push_back(buffer(POINTS * product_stride()));
            copy.push_back(buffer(size_t(POINTS) * in_row));
            if (!entered[i] || !product[i] || !copy[i]) return false;
            std::fill_n(entered[i].get(), POINTS * entered_stride(), 0.f);  // the last block multiplies unused rows too
        }
        std::atomic<long> next{0};
        auto work = [&](int i) {
            for (long b; (b = next++) < blocks;) block(b * ROWS, entered[i].get(), product[i].get(), copy[i].get());
        };
        std::vector<std::thread> others;
        try {
            for (int i = 1; i < threads; i++) others.emplace_back(work, i);
        } catch (const std::system_error&) {
        }  // the system refuses more threads: the threads that were started do the work
        work(0);
        for (auto& other : others) other.join();
        return true;
    }

    // Transforms filters (outputs, inputs, R, R), in double precision, and packs them as weights
    // (POINTS, inputs x outputs), with the outputs rounded up to whole vectors.
    static void pack(const float* filters, int outputs, int inputs, float* weights) {
        double rows[N][R], half[N][R];
        T::filter_rows(rows);
        const size_t matrix = size_t(inputs) * whole_lanes(outputs);
        std::fill_n(weights, POINTS * matrix, 0.f);
        for (int out = 0; out < outputs; out++)
            for (int in = 0; in < inputs; in++, filters += R * R) {
                for (int a = 0; a < N; a++)
                    for (int b = 0; b < R; b++) {
                        half[a][b] = 0;
                        for (int k = 0; k < R; k++) half[a][b] += rows[a][k] * filters[k * R + b];
                    }
                for (int a = 0; a < N; a++)
                    for (int b = 0; b < N; b++) {
                        double sum = 0;
                        for (int k = 0; k < R; k++) sum += half[a][k] * rows[b][k];
                        weights[(a * N + b) * matrix + packed_at(in, out, inputs, outputs)] = float(sum);
                    }
            }
    }
};

}  // namespace lowdose
