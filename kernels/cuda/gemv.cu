// y = x·wᵀ + bias for few rows of x, as in a decode step: w is read once, at the rate of the memory, and what matters is
// that enough of it is always on its way. Nothing goes through shared memory but the sums of the warps.
#include "prelude.cuh"

// Rows of w that a block of `few_rows` takes: those of one tensor core instruction.
#define W_ROWS 16
// Columns of w that a lane quad takes at once: 16 bytes a lane.
#define QUAD 32

// Eight numbers from column c on, those from `end` on as 0.
template <class T>
__device__ inline Bytes16 load_eight(Global<const T> row, int c, int end) {
    if (c + 8 <= end) return view_as<const Bytes16>(row + c)[0];
    u64 low = 0, high = 0;
#pragma unroll 1
    for (int e = 0; e < 8 && c + e < end; e++) {
        u64 bits = u64(row[c + e].bits) << (e % 4 * 16);
        if (e < 4)
            low |= bits;
        else
            high |= bits;
    }
    return Bytes16{u32(low), u32(low >> 32), u32(high), u32(high >> 32)};
}

// sums += w·xᵀ over 32 columns. Any order of the columns will do as long as it is the same for both: a lane feeds its
// eight numbers as columns 2t, 2t + 1, 2t + 8 and 2t + 9 of two products, so that fragments are what 16-byte loads give.
template <class T, int GROUPS>
__device__ inline void multiply(float (&sums)[GROUPS][4], Bytes16 upper, Bytes16 lower, const Bytes16 (&x)[GROUPS]) {
    u32 first[4] = {upper.x, lower.x, upper.y, lower.y}, second[4] = {upper.z, lower.z, upper.w, lower.w};
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        u32 b_first[2] = {x[g].x, x[g].y}, b_second[2] = {x[g].z, x[g].w};
        mma<T>(sums[g], first, b_first);
        mma<T>(sums[g], second, b_second);
    }
}

// Up to 8·GROUPS rows of x, 16 rows of w a block. The warps take turns along the columns, UNROLL·32 at a time. All rows
// begin at multiples of 16 bytes.
template <class T, int GROUPS, int UNROLL>
__device__ inline void few_rows(const Matrix<const T>& x, const Matrix<const T>& w, const AnyMatrix& bias,
                                const Matrix<T>& y) {
    const int STEP = QUAD * UNROLL;
    int warp = threadIdx.x / WARP, warps = blockDim.x / WARP, quad = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    int n0 = blockIdx.x * W_ROWS, last = w.rows - 1, k = x.cols;
    // Rows past the last are read as the last, and not written.
    Global<const T> upper = w.row(n0 + quad < last ? n0 + quad : last);
    Global<const T> lower = w.row(n0 + quad + 8 < last ? n0 + quad + 8 : last);

    float sums[GROUPS][4];
#pragma unroll
    for (int g = 0; g < GROUPS; g++) sums[g][0] = sums[g][1] = sums[g][2] = sums[g][3] = 0.0f;

    int whole = k / STEP * STEP;
    for (int at = warp * STEP; at < whole; at += warps * STEP) {
        int c = at + t * 8;
        Bytes16 ups[UNROLL], lows[UNROLL], xs[UNROLL][GROUPS];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            ups[u] = view_as<const Bytes16>(upper + (c + u * QUAD))[0];
            lows[u] = view_as<const Bytes16>(lower + (c + u * QUAD))[0];
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
#pragma unroll
            for (int g = 0; g < GROUPS; g++) {
                xs[u][g] = Bytes16{0, 0, 0, 0};
                if (g * 8 + quad < x.rows)
                    xs[u][g] = view_as<const Bytes16>(x.row(g * 8 + quad) + (c + u * QUAD))[0];
            }
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) multiply<T, GROUPS>(sums, ups[u], lows[u], xs[u]);
    }
#pragma unroll 1
    for (int at = whole + warp * QUAD; at < k; at += warps * QUAD) {
        int c = at + t * 8;
        Bytes16 xs[GROUPS];
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            xs[g] = Bytes16{0, 0, 0, 0};
            if (g * 8 + quad < x.rows) xs[g] = load_eight<T>(x.row(g * 8 + quad), c, k);
        }
        multiply<T, GROUPS>(sums, load_eight<T>(upper, c, k), load_eight<T>(lower, c, k), xs);
    }

    // [warps, rows of x, rows of w]; four more numbers keep what a warp writes at once in different banks.
    const int STRIDE = W_ROWS + 4, X_ROWS = GROUPS * 8;
    float* parts = dynamic_shared<float>();
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
#pragma unroll
        for (int e = 0; e < 4; e++)
            parts[(warp * X_ROWS + g * 8 + t * 2 + e % 2) * STRIDE + quad + e / 2 * 8] = sums[g][e];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < X_ROWS * W_ROWS; i += blockDim.x) {
        int r = i / W_ROWS, c = i % W_ROWS;
        if (r >= y.rows || n0 + c >= y.cols) continue;
        float sum = bias.rows > 0 ? bias.at(0, n0 + c) : 0.0f;
        for (int p = 0; p < warps; p++) sum += parts[(p * X_ROWS + r) * STRIDE + c];
        y.row(r)[n0 + c] = from_f32<T>(sum);
    }
}

#define FEW_ROWS(T, SUFFIX)                                                                                         \
    extern "C" __global__ void __launch_bounds__(512, 1)                                                            \
        gemv_8_##SUFFIX(Matrix<const T> x, Matrix<const T> w, AnyMatrix bias, Matrix<T> y) {                        \
        few_rows<T, 1, 4>(x, w, bias, y);                                                                           \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(512, 1)                                                            \
        gemv_16_##SUFFIX(Matrix<const T> x, Matrix<const T> w, AnyMatrix bias, Matrix<T> y) {                       \
        few_rows<T, 2, 4>(x, w, bias, y);                                                                           \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(512, 1)                                                            \
        gemv_32_##SUFFIX(Matrix<const T> x, Matrix<const T> w, AnyMatrix bias, Matrix<T> y) {                       \
        few_rows<T, 4, 2>(x, w, bias, y);                                                                           \
    }
FEW_ROWS(f16, f16)
FEW_ROWS(bf16, bf16)

struct alignas(16) Floats4 {
    float v[4];
};
__device__ inline Floats4 load_four(Global<const float> row, int c, int end) {
    if (c + 4 <= end) return view_as<const Floats4>(row + c)[0];
    Floats4 four = {{0.0f, 0.0f, 0.0f, 0.0f}};
#pragma unroll
    for (int e = 0; e < 4; e++) {
        if (c + e < end) four.v[e] = row[c + e];
    }
    return four;
}

// The same in f32: up to M rows of x, ROWS rows of w a block, four columns a lane.
template <int M, int ROWS, int UNROLL>
__device__ inline void few_rows_f32(const Matrix<const float>& x, const Matrix<const float>& w, const AnyMatrix& bias,
                                    const Matrix<float>& y) {
    const int STEP = WARP * 4 * UNROLL;
    int warp = threadIdx.x / WARP, warps = blockDim.x / WARP, lane = threadIdx.x % WARP;
    int n0 = blockIdx.x * ROWS, k = x.cols;
    Global<const float> rows[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) rows[r] = w.row(n0 + r < w.rows ? n0 + r : w.rows - 1);
    float sums[M][ROWS];
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) sums[m][r] = 0.0f;

    auto multiply = [&](const Floats4(&ws)[ROWS], int m, Floats4 four) {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int e = 0; e < 4; e++) sums[m][r] += ws[r].v[e] * four.v[e];
    };
    int whole = k / STEP * STEP;
    for (int at = warp * STEP; at < whole; at += warps * STEP) {
        int c = at + lane * 4;
        Floats4 ws[UNROLL][ROWS];
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
#pragma unroll
            for (int r = 0; r < ROWS; r++) ws[u][r] = view_as<const Floats4>(rows[r] + (c + u * WARP * 4))[0];
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
#pragma unroll
            for (int m = 0; m < M; m++)
                multiply(ws[u], m,
                         view_as<const Floats4>(x.row(m < x.rows ? m : x.rows - 1) + (c + u * WARP * 4))[0]);
    }
#pragma unroll 1
    for (int at = whole + warp * WARP * 4; at < k; at += warps * WARP * 4) {
        int c = at + lane * 4;
        Floats4 ws[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++) ws[r] = load_four(rows[r], c, k);
#pragma unroll
        for (int m = 0; m < M; m++) multiply(ws, m, load_four(x.row(m < x.rows ? m : x.rows - 1), c, k));
    }

    float* parts = dynamic_shared<float>();
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float sum = warp_sum(sums[m][r]);
            if (lane == 0) parts[(warp * M + m) * ROWS + r] = sum;
        }
    __syncthreads();
    for (int i = threadIdx.x; i < M * ROWS; i += blockDim.x) {
        int m = i / ROWS, r = i % ROWS;
        if (m >= y.rows || n0 + r >= y.cols) continue;
        float sum = bias.rows > 0 ? bias.at(0, n0 + r) : 0.0f;
        for (int p = 0; p < warps; p++) sum += parts[(p * M + m) * ROWS + r];
        y.row(m)[n0 + r] = sum;
    }
}

#define FEW_ROWS_F32(NAME, M, ROWS, UNROLL)                                                                         \
    extern "C" __global__ void __launch_bounds__(512, 1)                                                            \
        NAME(Matrix<const float> x, Matrix<const float> w, AnyMatrix bias, Matrix<float> y) {                       \
        few_rows_f32<M, ROWS, UNROLL>(x, w, bias, y);                                                               \
    }
FEW_ROWS_F32(gemv_1_f32, 1, 4, 2)
FEW_ROWS_F32(gemv_4_f32, 4, 4, 2)
FEW_ROWS_F32(gemv_8_f32, 8, 4, 1)

// Formats and alignments of any kind, up to eight rows of x: one row of w a warp, one column a lane.
extern "C" __global__ void gemv_any(AnyMatrix x, AnyMatrix w, AnyMatrix bias, AnyMatrixMut y) {
    int lane = threadIdx.x % WARP;
    i64 n = i64(blockIdx.x) * (blockDim.x / WARP) + threadIdx.x / WARP;
    // Whole warps leave.
    if (n >= w.rows) return;
    float sums[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 1
    for (int c = lane; c < x.cols; c += WARP) {
        float number = w.at(n, c);
#pragma unroll
        for (int m = 0; m < 8; m++) {
            if (m < x.rows) sums[m] += number * x.at(m, c);
        }
    }
    float added = bias.rows > 0 ? bias.at(0, n) : 0.0f;
#pragma unroll
    for (int m = 0; m < 8; m++) {
        float sum = warp_sum(sums[m]);
        if (m < y.rows && lane == 0) y.set(m, n, sum + added);
    }
}
