// y = x·wᵀ + bias without tensor cores: in true f32, and for operands of any formats and alignments, which are converted
// when they are loaded.
#include "prelude.cuh"

// Columns of x and w in a stage.
#define DEPTH 16
#define SIDE 16
#define THREADS (SIDE * SIDE)

struct alignas(16) Floats4 {
    float v[4];
};

// Columns c..c + 4 of row r; what is not in the matrix, or from `end` on, is 0. Rows begin at multiples of 16 bytes.
__device__ inline Floats4 load_four(const Matrix<const float>& from, i64 r, int c, int end) {
    Floats4 four = {{0.0f, 0.0f, 0.0f, 0.0f}};
    if (r >= from.rows) return four;
    if (c + 4 <= end) return view_as<const Floats4>(from.row(r) + c)[0];
#pragma unroll
    for (int e = 0; e < 4; e++) {
        if (c + e < end) four.v[e] = from.row(r)[c + e];
    }
    return four;
}
__device__ inline Floats4 load_four(const AnyMatrix& from, i64 r, int c, int end) {
    Floats4 four = {{0.0f, 0.0f, 0.0f, 0.0f}};
    if (r >= from.rows) return four;
#pragma unroll
    for (int e = 0; e < 4; e++) {
        if (c + e < end) four.v[e] = from.at(r, c + e);
    }
    return four;
}

// Columns c..c + 4 of row r, as far as y has them, with the bias. `aligned`: rows of y begin at multiples of 4 numbers.
__device__ inline void store_four(const AnyMatrixMut& y, const AnyMatrix& bias, int aligned, i64 r, int c, Floats4 four) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
        if (bias.rows > 0 && c + e < y.cols) four.v[e] += bias.at(0, c + e);
    }
    if (aligned && c + 4 <= y.cols) {
        i64 at = r * y.stride + c;
        if (y.dtype == DTYPE_F32)
            view_as<Floats4>(view_as<float>(y.data) + at)[0] = four;
        else if (y.dtype == DTYPE_F16)
            view_as<Bytes8>(view_as<f16>(y.data) + at)[0] =
                Bytes8{pack<f16>(four.v[0], four.v[1]), pack<f16>(four.v[2], four.v[3])};
        else
            view_as<Bytes8>(view_as<bf16>(y.data) + at)[0] =
                Bytes8{pack<bf16>(four.v[0], four.v[1]), pack<bf16>(four.v[2], four.v[3])};
        return;
    }
#pragma unroll
    for (int e = 0; e < 4; e++) {
        if (c + e < y.cols) y.set(r, c + e, four.v[e]);
    }
}

// One block makes BM × BN of y, each thread BM/16 × BN/16 of it: groups of four rows by four columns, 64 apart. `share` is
// how many columns of x and w the blocks of one blockIdx.z sum up; with more than one share each goes to `partials`
// [shares, rows of y, columns of y rounded up to 4].
template <class X, int BM, int BN>
__device__ inline void product(const X& x, const X& w, const AnyMatrix& bias, const AnyMatrixMut& y, int y_aligned,
                               int share, Global<float> partials) {
    const int GM = BM / 64, GN = BN / 64;
    // A row of a stage is a column of x or w; four more numbers keep rows aligned and spread what is written to them.
    const int XS = BM + 4, WS = BN + 4;
    float* xs = dynamic_shared<float>();
    float* ws = xs + 2 * DEPTH * XS;

    int tiles_n = (y.cols + BN - 1) / BN;
    int m0 = blockIdx.x / tiles_n * BM, n0 = blockIdx.x % tiles_n * BN;
    int begin = blockIdx.z * share;
    int end = x.cols - begin < share ? x.cols : begin + share;
    int steps = (end - begin + DEPTH - 1) / DEPTH;
    int row = threadIdx.x / 4, col = threadIdx.x % 4 * 4;
    int ty = threadIdx.x / SIDE, tx = threadIdx.x % SIDE;

    Floats4 next_x[GM], next_w[GN];
    auto load = [&](int step) {
        int c = begin + step * DEPTH + col;
#pragma unroll
        for (int g = 0; g < GM; g++) next_x[g] = load_four(x, m0 + row + g * 64, c, end);
#pragma unroll
        for (int g = 0; g < GN; g++) next_w[g] = load_four(w, n0 + row + g * 64, c, end);
    };
    auto store = [&](int stage) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
#pragma unroll
            for (int g = 0; g < GM; g++) xs[(stage * DEPTH + col + e) * XS + row + g * 64] = next_x[g].v[e];
#pragma unroll
            for (int g = 0; g < GN; g++) ws[(stage * DEPTH + col + e) * WS + row + g * 64] = next_w[g].v[e];
        }
    };

    float sums[GM][4][GN][4];
#pragma unroll
    for (int gm = 0; gm < GM; gm++)
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int gn = 0; gn < GN; gn++)
#pragma unroll
                for (int j = 0; j < 4; j++) sums[gm][i][gn][j] = 0.0f;

    load(0);
    store(0);
    __syncthreads();
    for (int step = 0; step < steps; step++) {
        int stage = step % 2;
        if (step + 1 < steps) load(step + 1);
#pragma unroll 4
        for (int k = 0; k < DEPTH; k++) {
            Floats4 a[GM], b[GN];
#pragma unroll
            for (int g = 0; g < GM; g++) a[g] = *view_as<Floats4>(xs + (stage * DEPTH + k) * XS + ty * 4 + g * 64);
#pragma unroll
            for (int g = 0; g < GN; g++) b[g] = *view_as<Floats4>(ws + (stage * DEPTH + k) * WS + tx * 4 + g * 64);
#pragma unroll
            for (int gm = 0; gm < GM; gm++)
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int gn = 0; gn < GN; gn++)
#pragma unroll
                        for (int j = 0; j < 4; j++) sums[gm][i][gn][j] += a[gm].v[i] * b[gn].v[j];
        }
        if (step + 1 < steps) store(1 - stage);
        __syncthreads();
    }

    int stride = (y.cols + 3) / 4 * 4;
#pragma unroll
    for (int gm = 0; gm < GM; gm++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            i64 r = m0 + gm * 64 + ty * 4 + i;
#pragma unroll
            for (int gn = 0; gn < GN; gn++) {
                int c = n0 + gn * 64 + tx * 4;
                if (r >= y.rows || c >= y.cols) continue;
                float* four = sums[gm][i][gn];
                Floats4 sum = {{four[0], four[1], four[2], four[3]}};
                if (gridDim.z > 1)
                    view_as<Floats4>(partials + ((blockIdx.z * i64(y.rows) + r) * stride + c))[0] = sum;
                else
                    store_four(y, bias, y_aligned, r, c, sum);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    gemm_128x128_f32(Matrix<const float> x, Matrix<const float> w, AnyMatrix bias, AnyMatrixMut y, int y_aligned, int share,
                     Global<float> partials) {
    product<Matrix<const float>, 128, 128>(x, w, bias, y, y_aligned, share, partials);
}
extern "C" __global__ void __launch_bounds__(THREADS, 4)
    gemm_64x64_f32(Matrix<const float> x, Matrix<const float> w, AnyMatrix bias, AnyMatrixMut y, int y_aligned, int share,
                   Global<float> partials) {
    product<Matrix<const float>, 64, 64>(x, w, bias, y, y_aligned, share, partials);
}
extern "C" __global__ void __launch_bounds__(THREADS, 4)
    gemm_any(AnyMatrix x, AnyMatrix w, AnyMatrix bias, AnyMatrixMut y, int y_aligned, int share, Global<float> partials) {
    product<AnyMatrix, 64, 64>(x, w, bias, y, y_aligned, share, partials);
}

// y = the sum of the shares, in their order, + bias. One thread makes four columns.
extern "C" __global__ void sum_partials(Global<const float> partials, int shares, AnyMatrix bias, AnyMatrixMut y,
                                        int y_aligned) {
    int fours = (y.cols + 3) / 4;
    i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= i64(y.rows) * fours) return;
    Floats4 sum = view_as<const Floats4>(partials + i * 4)[0];
    for (int share = 1; share < shares; share++) {
        Floats4 more = view_as<const Floats4>(partials + (i64(share) * y.rows * fours + i) * 4)[0];
#pragma unroll
        for (int e = 0; e < 4; e++) sum.v[e] += more.v[e];
    }
    store_four(y, bias, y_aligned, i / fours, int(i % fours) * 4, sum);
}

// y += bias, where the library that made y could not add it; y is also passed to be read.
extern "C" __global__ void add_bias(AnyMatrix bias, AnyMatrix before, AnyMatrixMut y) {
    i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= i64(y.rows) * y.cols) return;
    i64 r = i / y.cols, c = i % y.cols;
    y.set(r, c, before.at(r, c) + bias.at(0, c));
}
