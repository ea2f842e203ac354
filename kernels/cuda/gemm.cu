// y = x·wᵀ + bias on tensor cores, in f16 and bf16, for more rows than gemv.cu takes.
//
// A block makes a tile of y. Its warps each hold a part of that tile in registers and read both operands from shared
// memory, where they arrive in stages of 32 columns by asynchronous copies, several stages ahead. With a split k each
// block of a column of blocks sums a part of k, and `sum_partials` (gemm_f32.cu) adds the parts.
#include "prelude.cuh"

// Columns of x and w in a stage, and how many pieces of 16 bytes that is.
#define DEPTH 32
#define PIECES (DEPTH / 8)
// Rows of tiles that are worked on together, so that neighbours in time find x and w in the L2 cache.
#define BAND 8

// Where piece `piece` of a row lies in a stage, in bytes. Two rows share 128 bytes; the exchange of pieces puts any eight
// rows, which is what a warp reads or writes at once, into different banks.
__device__ inline int place_of(int row, int piece) { return row * (DEPTH * 2) + ((piece ^ ((row >> 1) & 3)) << 4); }

// Brings columns `at`.. of rows `first`.. into a stage; what is not in the matrix, or from `end` on, becomes 0.
template <class T, int ROWS, int THREADS, bool ALIGNED>
__device__ inline void load_rows(char* stage, const Matrix<const T>& from, int first, int at, int end) {
    int piece = threadIdx.x % PIECES;
    int c = at + piece * 8;
    int count = end - c < 0 ? 0 : end - c > 8 ? 8 : end - c;
#pragma unroll
    for (int i = 0; i < ROWS * PIECES / THREADS; i++) {
        int row = threadIdx.x / PIECES + i * (THREADS / PIECES);
        i64 r = first + row;
        int numbers = r < from.rows ? count : 0;
        char* to = stage + place_of(row, piece);
        if (ALIGNED) {
            copy_async(to, view_as<const char>(from.row(r) + c), numbers * 2);
        } else {
#pragma unroll 1
            for (int e = 0; e < 8; e++) *view_as<u16>(to + e * 2) = e < numbers ? from.row(r)[c + e].bits : u16(0);
        }
    }
}

// `share` is how many columns of x and w, a multiple of DEPTH, the blocks of one blockIdx.z sum up. With one share y is
// written (`y_aligned`: its rows begin at multiples of 16 bytes); with more each share goes to `partials`
// [shares, rows of y, columns of y rounded up to 4].
template <class T, int BM, int BN, int WARPS_M, int WARPS_N, int STAGES, bool ALIGNED>
__device__ inline void product(const Matrix<const T>& x, const Matrix<const T>& w, const AnyMatrix& bias,
                               const Matrix<T>& y, int y_aligned, int share, Global<float> partials) {
    const int THREADS = WARPS_M * WARPS_N * WARP;
    const int WM = BM / WARPS_M, WN = BN / WARPS_N;
    // m16n8k16 pieces of a warp's part.
    const int MI = WM / 16, NI = WN / 8;
    const int X_BYTES = BM * DEPTH * 2, STAGE_BYTES = (BM + BN) * DEPTH * 2;
    char* shared = dynamic_shared<char>();

    int tiles_m = (y.rows + BM - 1) / BM, tiles_n = (y.cols + BN - 1) / BN;
    int band = blockIdx.x / (BAND * tiles_n), in_band = blockIdx.x % (BAND * tiles_n);
    int height = tiles_m - band * BAND < BAND ? tiles_m - band * BAND : BAND;
    int m0 = (band * BAND + in_band % height) * BM, n0 = in_band / height * BN;

    int begin = blockIdx.z * share;
    int end = x.cols - begin < share ? x.cols : begin + share;
    int steps = (end - begin + DEPTH - 1) / DEPTH;

    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int warp_m = warp % WARPS_M * WM, warp_n = warp / WARPS_M * WN;

    // Whole stages past the end are asked for too, and become 0: no branch is needed then.
    auto load = [&](int step) {
        char* stage = shared + step % STAGES * STAGE_BYTES;
        int at = begin + step * DEPTH;
        load_rows<T, BM, THREADS, ALIGNED>(stage, x, m0, at, end);
        load_rows<T, BN, THREADS, ALIGNED>(stage + X_BYTES, w, n0, at, end);
        copy_async_commit();
    };
    // Two sets of fragments: one is multiplied while the other is read.
    u32 a[2][MI][4], b[2][NI][2];
    // Which row and piece this lane points load_matrices at: x as four matrices top left, bottom left, top right, bottom
    // right, w (its rows are columns of the product) as left, right of eight rows, then of the next eight.
    int x_row = warp_m + lane % 16, x_piece = lane / 16;
    int w_row = warp_n + lane / 16 * 8 + lane % 8, w_piece = lane / 8 % 2;
    auto read = [&](int set, int step, int half) {
        const char* stage = shared + step % STAGES * STAGE_BYTES;
#pragma unroll
        for (int i = 0; i < MI; i++) load_matrices(a[set][i], stage + place_of(x_row + i * 16, x_piece + half * 2));
#pragma unroll
        for (int j = 0; j < NI; j += 2) {
            u32 four[4];
            load_matrices(four, stage + X_BYTES + place_of(w_row + j * 8, w_piece + half * 2));
            b[set][j][0] = four[0];
            b[set][j][1] = four[1];
            b[set][j + 1][0] = four[2];
            b[set][j + 1][1] = four[3];
        }
    };

    float sums[MI][NI][4];
#pragma unroll
    for (int i = 0; i < MI; i++) {
#pragma unroll
        for (int j = 0; j < NI; j++) sums[i][j][0] = sums[i][j][1] = sums[i][j][2] = sums[i][j][3] = 0.0f;
    }
    auto multiply = [&](int set) {
#pragma unroll
        for (int i = 0; i < MI; i++) {
            // There and back, so that each pair shares a fragment with the pair before.
#pragma unroll
            for (int j = 0; j < NI; j++) {
                int at = i % 2 == 0 ? j : NI - 1 - j;
                mma<T>(sums[i][at], a[set][i], b[set][at]);
            }
        }
    };

#pragma unroll 1
    for (int step = 0; step < STAGES - 1; step++) load(step);
    copy_async_wait<STAGES - 2>();
    __syncthreads();
    read(0, 0, 0);
    for (int step = 0; step < steps; step++) {
        read(1, step, 1);
        // Into the stage that all warps left before the last barrier.
        load(step + STAGES - 1);
        multiply(0);
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        read(0, step + 1, 0);
        multiply(1);
    }

    // Of each 16 × 8 a lane holds columns 2·(lane % 4) and the next, of rows lane / 4 and eight below.
    int row0 = warp_m + lane / 4, col0 = warp_n + lane % 4 * 2;
    if (gridDim.z > 1) {
        int stride = (y.cols + 3) / 4 * 4;
#pragma unroll
        for (int i = 0; i < MI; i++) {
#pragma unroll
            for (int j = 0; j < NI; j++) {
                int c = n0 + col0 + j * 8;
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    int r = m0 + row0 + i * 16 + h * 8;
                    if (r < y.rows && c < stride) {
                        i64 at = (i64(blockIdx.z) * y.rows + r) * stride + c;
                        view_as<Bytes8>(partials + at)[0] =
                            Bytes8{__float_as_uint(sums[i][j][2 * h]), __float_as_uint(sums[i][j][2 * h + 1])};
                    }
                }
            }
        }
        return;
    }

    // Through shared memory, so that whole rows are written. The last stages may still be arriving as zeros.
    const int ROW_BYTES = (BN + 8) * 2;
    float* added = view_as<float>(shared + BM * ROW_BYTES);
    copy_async_wait<0>();
    __syncthreads();
    for (int c = threadIdx.x; c < BN; c += THREADS)
        added[c] = bias.rows > 0 && n0 + c < y.cols ? bias.at(0, n0 + c) : 0.0f;
    __syncthreads();
#pragma unroll
    for (int j = 0; j < NI; j++) {
        int c = col0 + j * 8;
        float left = added[c], right = added[c + 1];
#pragma unroll
        for (int i = 0; i < MI; i++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                u32 pair = pack<T>(sums[i][j][2 * h] + left, sums[i][j][2 * h + 1] + right);
                *view_as<u32>(shared + (row0 + i * 16 + h * 8) * ROW_BYTES + c * 2) = pair;
            }
        }
    }
    __syncthreads();
#pragma unroll 1
    for (int i = threadIdx.x; i < BM * (BN / 8); i += THREADS) {
        int row = i / (BN / 8), c = i % (BN / 8) * 8;
        if (m0 + row >= y.rows || n0 + c >= y.cols) continue;
        char* from = shared + row * ROW_BYTES + c * 2;
        Global<T> to = y.row(m0 + row) + (n0 + c);
        if (y_aligned && n0 + c + 8 <= y.cols) {
            view_as<Bytes16>(to)[0] = *view_as<Bytes16>(from);
        } else {
#pragma unroll 1
            for (int e = 0; e < 8; e++) {
                if (n0 + c + e < y.cols) to[e] = view_as<T>(from)[e];
            }
        }
    }
}

#define PRODUCT(NAME, T, BM, BN, WARPS_M, WARPS_N, STAGES, ALIGNED, BLOCKS)                                         \
    extern "C" __global__ void __launch_bounds__(WARPS_M* WARPS_N* WARP, BLOCKS)                                    \
        NAME(Matrix<const T> x, Matrix<const T> w, AnyMatrix bias, Matrix<T> y, int y_aligned, int share,           \
             Global<float> partials) {                                                                              \
        product<T, BM, BN, WARPS_M, WARPS_N, STAGES, ALIGNED>(x, w, bias, y, y_aligned, share, partials);           \
    }

PRODUCT(gemm_128x256_f16, f16, 128, 256, 2, 4, 4, true, 1)
PRODUCT(gemm_128x256_bf16, bf16, 128, 256, 2, 4, 4, true, 1)
PRODUCT(gemm_128x128_f16, f16, 128, 128, 2, 2, 3, true, 2)
PRODUCT(gemm_128x128_bf16, bf16, 128, 128, 2, 2, 3, true, 2)
PRODUCT(gemm_64x64_f16, f16, 64, 64, 2, 2, 4, true, 4)
PRODUCT(gemm_64x64_bf16, bf16, 64, 64, 2, 2, 4, true, 4)
PRODUCT(gemm_unaligned_f16, f16, 64, 64, 2, 2, 4, false, 4)
PRODUCT(gemm_unaligned_bf16, bf16, 64, 64, 2, 2, 4, false, 4)
