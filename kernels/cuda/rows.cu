// Operations on rows: embeddings, norms, rotary embedding, pooling, argmax. Sums run in f32.
#include "prelude.cuh"

// Row t of y becomes row places[t] of x, with `add` in addition to what it is; with `last` it becomes the last row of
// sequence t, places[t]..places[t + 1]. A row that is not there is skipped.
template <class T, int N>
__device__ inline void copy_rows(Global<const u32> places, bool last, AnyMatrix x, Matrix<T> y, bool add) {
    each_pack<N>(y.rows, y.cols, [&](i64 t, i64 col) {
        u32 from = places[t];
        if (last) {
            u32 end = places[t + 1];
            if (end <= from) return;
            from = end - 1;
        }
        if (from >= u32(x.rows)) return;
        float v[N];
        load_any_pack<N>(x.row(from), x.dtype, col, v);
        if (add) {
            float sum[N];
            load_pack<T, N>(y.row(t) + col, sum);
#pragma unroll
            for (int i = 0; i < N; i++) v[i] += sum[i];
        }
        store_pack<T, N>(y.row(t) + col, v);
    });
}
#define COPY_ROWS(NAME, T)                                                                                 \
    extern "C" __global__ void NAME(Global<const u32> places, int last, AnyMatrix x, Matrix<T> y, int add, \
                                    int wide) {                                                            \
        if (wide)                                                                                          \
            copy_rows<T, PACK>(places, last != 0, x, y, add != 0);                                         \
        else                                                                                               \
            copy_rows<T, 1>(places, last != 0, x, y, add != 0);                                            \
    }
COPY_ROWS(copy_rows_f32, float)
COPY_ROWS(copy_rows_f16, f16)
COPY_ROWS(copy_rows_bf16, bf16)

// Packs of a row that a thread keeps in registers, and the most threads of a block of a norm.
#define KEPT 2
#define NORMING 512

// Who takes a row: teams of `lanes` neighbouring threads (a power of two), or the whole block where `lanes` is 0.
struct Team {
    int width;   // threads of a team
    int count;   // teams of a block
    int index;   // of this thread's team
    int member;  // of this thread within it

    __device__ explicit Team(int lanes) {
        width = lanes > 0 ? lanes : blockDim.x;
        count = blockDim.x / width;
        index = threadIdx.x / width;
        member = threadIdx.x % width;
    }
    // The sum over the team, in every thread. All threads of the block come here.
    __device__ float sum(float x) const {
        __shared__ float scratch[WARP];
        if (width > WARP) return block_sum(x, scratch);
        for (int mask = width / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(ALL_LANES, x, mask);
        return x;
    }
};

// y = rms_norm(x) over groups of weight.cols columns, `units` in all. Where there is a `delta`, sum = x + delta is stored and normalised.
template <class T, int N>
__device__ inline void rms_norm(Matrix<const T> x, Matrix<const T> delta, Matrix<T> sum, Matrix<T> y, AnyMatrix weight,
                                float eps, u32 units, int lanes) {
    const Team team(lanes);
    const int n = weight.cols;
    const u32 groups = y.cols / n;
    // Columns col.. of a group, after the addition.
    auto load = [&](u32 row, int begin, int col, float(&v)[N]) {
        load_pack<T, N>(x.row(row) + begin + col, v);
        if (!delta.data) return;
        float d[N];
        load_pack<T, N>(delta.row(row) + begin + col, d);
#pragma unroll
        for (int i = 0; i < N; i++) v[i] = to_f32(from_f32<T>(v[i] + d[i]));
        store_pack<T, N>(sum.row(row) + begin + col, v);
    };
    const int step = team.width * N, first = team.member * N;
    const bool kept = n <= KEPT * step;
    float w[KEPT][N];
    if (kept) {
#pragma unroll
        for (int k = 0; k < KEPT; k++) {
            int col = first + k * step;
            if (col < n) load_any_pack<N>(weight.data, weight.dtype, col, w[k]);
        }
    }
    // All threads stay in the loop together, for the sums.
    for (u32 base = blockIdx.x * team.count; base < units; base += gridDim.x * team.count) {
        const u32 unit = base + team.index, row = unit / groups;
        const int begin = int(unit - row * groups) * n;
        const int mine = unit < units ? n : 0;
        float v[KEPT][N], squares = 0.0f;
        if (kept) {
#pragma unroll
            for (int k = 0; k < KEPT; k++) {
                int col = first + k * step;
                if (col >= mine) continue;
                load(row, begin, col, v[k]);
#pragma unroll
                for (int i = 0; i < N; i++) squares += v[k][i] * v[k][i];
            }
        } else {
#pragma unroll 1
            for (i64 col = first; col < mine; col += step) {
                load(row, begin, col, v[0]);
#pragma unroll
                for (int i = 0; i < N; i++) squares += v[0][i] * v[0][i];
            }
        }
        const float factor = rsqrtf(team.sum(squares) / n + eps);
        if (kept) {
#pragma unroll
            for (int k = 0; k < KEPT; k++) {
                int col = first + k * step;
                if (col >= mine) continue;
#pragma unroll
                for (int i = 0; i < N; i++) v[k][i] *= factor * w[k][i];
                store_pack<T, N>(y.row(row) + begin + col, v[k]);
            }
        } else {
#pragma unroll 1
            for (i64 col = first; col < mine; col += step) {
                // What this thread itself wrote, where it is a sum.
                load_pack<T, N>((delta.data ? Global<const T>(sum.row(row)) : x.row(row)) + begin + col, v[0]);
                load_any_pack<N>(weight.data, weight.dtype, col, w[0]);
#pragma unroll
                for (int i = 0; i < N; i++) v[0][i] *= factor * w[0][i];
                store_pack<T, N>(y.row(row) + begin + col, v[0]);
            }
        }
    }
}
#define RMS_NORM(NAME, T)                                                                                       \
    extern "C" __global__ void __launch_bounds__(NORMING, 2) NAME(Matrix<const T> x, Matrix<const T> delta,     \
                                                                  Matrix<T> sum, Matrix<T> y, AnyMatrix weight, \
                                                                  float eps, int units, int lanes, int wide) {  \
        if (wide)                                                                                               \
            rms_norm<T, PACK>(x, delta, sum, y, weight, eps, units, lanes);                                     \
        else                                                                                                    \
            rms_norm<T, 1>(x, delta, sum, y, weight, eps, units, lanes);                                        \
    }
RMS_NORM(rms_norm_f32, float)
RMS_NORM(rms_norm_f16, f16)
RMS_NORM(rms_norm_bf16, bf16)

// x = layer_norm(x + delta), in place; without a delta where there is none. First the mean, then the mean of the squared
// distances from it: their difference does not cancel. One row a team, without a loop over rows, which would cost registers.
template <class T, int N>
__device__ inline void layer_norm(Matrix<T> x, Matrix<const T> delta, AnyMatrix weight, AnyMatrix bias, float eps,
                                  int lanes) {
    const Team team(lanes);
    const int n = x.cols;
    auto load = [&](i64 row, i64 col, float(&v)[N]) {
        load_pack<T, N>(x.row(row) + col, v);
        if (!delta.data) return;
        float d[N];
        load_pack<T, N>(delta.row(row) + col, d);
#pragma unroll
        for (int i = 0; i < N; i++) v[i] += d[i];
    };
    auto store = [&](i64 row, i64 col, float mean, float factor, float(&v)[N]) {
        float w[N], b[N];
        load_any_pack<N>(weight.data, weight.dtype, col, w);
        load_any_pack<N>(bias.data, bias.dtype, col, b);
#pragma unroll
        for (int i = 0; i < N; i++) v[i] = (v[i] - mean) * factor * w[i] + b[i];
        store_pack<T, N>(x.row(row) + col, v);
    };
    auto distance = [&](float mean, const float(&v)[N]) {
        float total = 0.0f;
#pragma unroll
        for (int i = 0; i < N; i++) total += (v[i] - mean) * (v[i] - mean);
        return total;
    };
    const bool kept = n <= i64(team.width) * KEPT * N;
    const i64 step = i64(team.width) * N, first = i64(team.member) * N;
    const i64 row = i64(blockIdx.x) * team.count + team.index;
    const int mine = row < x.rows ? n : 0;
    float v[KEPT][N], total = 0.0f;
    if (kept) {
#pragma unroll
        for (int k = 0; k < KEPT; k++) {
            if (first + k * step >= mine) continue;
            load(row, first + k * step, v[k]);
#pragma unroll
            for (int i = 0; i < N; i++) total += v[k][i];
        }
        const float mean = team.sum(total) / n;
        total = 0.0f;
#pragma unroll
        for (int k = 0; k < KEPT; k++)
            if (first + k * step < mine) total += distance(mean, v[k]);
        const float factor = rsqrtf(team.sum(total) / n + eps);
#pragma unroll
        for (int k = 0; k < KEPT; k++)
            if (first + k * step < mine) store(row, first + k * step, mean, factor, v[k]);
    } else {
#pragma unroll 1
        for (i64 col = first; col < mine; col += step) {
            load(row, col, v[0]);
#pragma unroll
            for (int i = 0; i < N; i++) total += v[0][i];
        }
        const float mean = team.sum(total) / n;
        total = 0.0f;
#pragma unroll 1
        for (i64 col = first; col < mine; col += step) {
            load(row, col, v[0]);
            total += distance(mean, v[0]);
        }
        const float factor = rsqrtf(team.sum(total) / n + eps);
#pragma unroll 1
        for (i64 col = first; col < mine; col += step) {
            load(row, col, v[0]);
            store(row, col, mean, factor, v[0]);
        }
    }
}
#define LAYER_NORM(NAME, T)                                                                                    \
    extern "C" __global__ void __launch_bounds__(NORMING, 2) NAME(Matrix<T> x, Matrix<const T> delta,          \
                                                                  AnyMatrix weight, AnyMatrix bias, float eps, \
                                                                  int lanes, int wide) {                       \
        if (wide)                                                                                              \
            layer_norm<T, PACK>(x, delta, weight, bias, eps, lanes);                                           \
        else                                                                                                   \
            layer_norm<T, 1>(x, delta, weight, bias, eps, lanes);                                              \
    }
LAYER_NORM(layer_norm_f32, float)
LAYER_NORM(layer_norm_f16, f16)
LAYER_NORM(layer_norm_bf16, bf16)

// table[t] = scaling·(cos ‖ sin)(positions[t]·inv_freq), the angle rounded to f32 as PyTorch does; one thread an angle.
extern "C" __global__ void rotary_table(Global<const u32> positions, Matrix<const float> inv_freq, float scaling,
                                        Matrix<float> table) {
    const int r = inv_freq.cols;
    const i64 angles = i64(table.rows) * r, threads = i64(gridDim.x) * blockDim.x;
    for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < angles; i += threads) {
        i64 t = i / r, col = i % r;
        float angle = float(positions[t]) * inv_freq.data[col], sine, cosine;
        sincosf(angle, &sine, &cosine);
        table.row(t)[col] = cosine * scaling;
        table.row(t)[col + r] = sine * scaling;
    }
}

// In each head, columns i and i + r turn together; a thread turns N such pairs.
template <class T, int N>
__device__ inline void rotary(Matrix<T> x, Matrix<const float> table, int head_dim) {
    const int r = table.cols / 2, heads = x.cols / head_dim;
    each_pack<N>(x.rows, i64(heads) * r, [&](i64 row, i64 pair) {
        u32 head = u32(pair) / u32(r), col = u32(pair) % u32(r);
        Global<T> low = x.row(row) + (i64(head) * head_dim + col), high = low + r;
        Global<const float> turn = table.row(row) + col;
        float a[N], b[N], cosine[N], sine[N];
        load_pack<T, N>(low, a);
        load_pack<T, N>(high, b);
        load_pack<float, N>(turn, cosine);
        load_pack<float, N>(turn + r, sine);
#pragma unroll
        for (int i = 0; i < N; i++) {
            float turned = a[i] * cosine[i] - b[i] * sine[i];
            b[i] = b[i] * cosine[i] + a[i] * sine[i];
            a[i] = turned;
        }
        store_pack<T, N>(low, a);
        store_pack<T, N>(high, b);
    });
}
#define ROTARY(NAME, T)                                                                               \
    extern "C" __global__ void NAME(Matrix<T> x, Matrix<const float> table, int head_dim, int wide) { \
        if (wide)                                                                                     \
            rotary<T, PACK>(x, table, head_dim);                                                      \
        else                                                                                          \
            rotary<T, 1>(x, table, head_dim);                                                         \
    }
ROTARY(rotary_f32, float)
ROTARY(rotary_f16, f16)
ROTARY(rotary_bf16, bf16)

// Threads of a block of mean_pool.
#define POOLING 256

// y[s] = mean of rows starts[s]..starts[s + 1]; of none, zero. A sequence that is not in x is skipped. A block takes some
// columns of a sequence, its threads the rows in turn.
template <class T, int N>
__device__ inline void mean_pool(Matrix<const T> x, Global<const u32> starts, Matrix<T> y) {
    constexpr int WIDE = N == 1 ? 32 : 8, HIGH = POOLING / WIDE, COLUMNS = WIDE * N;
    __shared__ float sums[HIGH][COLUMNS];
    const int thread = threadIdx.x, high = thread / WIDE, at = thread % WIDE * N;
    const i64 pieces = (i64(y.cols) + COLUMNS - 1) / COLUMNS, tasks = y.rows * pieces;
    for (i64 task = blockIdx.x; task < tasks; task += gridDim.x) {
        i64 s = task / pieces, begin = task % pieces * COLUMNS;
        u32 from = starts[s], to = starts[s + 1];
        if (from > to || to > u32(x.rows)) continue;
        float total[N] = {};
        if (begin + at < y.cols) {
            for (i64 row = i64(from) + high; row < to; row += HIGH) {
                float v[N];
                load_pack<T, N>(x.row(row) + begin + at, v);
#pragma unroll
                for (int i = 0; i < N; i++) total[i] += v[i];
            }
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < N; i++) sums[high][at + i] = total[i];
        __syncthreads();
        if (thread < COLUMNS && begin + thread < y.cols) {
            float all = 0.0f;
            for (int i = 0; i < HIGH; i++) all += sums[i][thread];
            y.row(s)[begin + thread] = from_f32<T>(from < to ? all / float(to - from) : 0.0f);
        }
    }
}
#define MEAN_POOL(NAME, T)                                                                                \
    extern "C" __global__ void NAME(Matrix<const T> x, Global<const u32> starts, Matrix<T> y, int wide) { \
        if (wide)                                                                                         \
            mean_pool<T, PACK>(x, starts, y);                                                             \
        else                                                                                              \
            mean_pool<T, 1>(x, starts, y);                                                                \
    }
MEAN_POOL(mean_pool_f32, float)
MEAN_POOL(mean_pool_f16, f16)
MEAN_POOL(mean_pool_bf16, bf16)

// A number whose order is that of floats, with NaN below all and −0 equal to 0.
__device__ inline u32 order(float x) {
    if (x != x) return 0;
    u32 bits = __float_as_uint(x == 0.0f ? 0.0f : x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ inline u64 warp_largest(u64 x) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        u64 other = __shfl_xor_sync(ALL_LANES, x, mask);
        x = other > x ? other : x;
    }
    return x;
}

// The column of the largest number of each row, the first of equals. Each row is split over `splits` blocks. A block's answer
// is the number's order in the upper half and the complement of its column in the lower: the largest of them is the
// answer for the row. They go to partial[row·splits + split], or where there is one split, the column to y.
template <class T, int N>
__device__ inline void argmax(Matrix<const T> x, Global<u64> partial, Global<u32> y, int splits) {
    __shared__ u64 best[WARP];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    const i64 packs = x.cols / N, each = (packs + splits - 1) / splits, tasks = i64(x.rows) * splits;
    for (i64 task = blockIdx.x; task < tasks; task += gridDim.x) {
        i64 row = task / splits, from = task % splits * each, to = from + each < packs ? from + each : packs;
        u32 largest = 0, at = ~0u;
        for (i64 p = from + threadIdx.x; p < to; p += blockDim.x) {
            float v[N];
            load_pack<T, N>(x.row(row) + p * N, v);
#pragma unroll
            for (int i = 0; i < N; i++) {
                u32 number = order(v[i]);
                if (number > largest || at == ~0u) {
                    largest = number;
                    at = u32(p * N + i);
                }
            }
        }
        // A thread without columns has 0, which is less than what any number gives.
        u64 mine = warp_largest(u64(largest) << 32 | u32(~at));
        __syncthreads();
        if (lane == 0) best[warp] = mine;
        __syncthreads();
        if (warp > 0) continue;
        mine = warp_largest(lane < warps ? best[lane] : 0);
        if (lane > 0) continue;
        if (splits == 1)
            y[row] = ~u32(mine);
        else
            partial[task] = mine;
    }
}
#define ARGMAX(NAME, T)                                                                                            \
    extern "C" __global__ void NAME(Matrix<const T> x, Global<u64> partial, Global<u32> y, int splits, int wide) { \
        if (wide)                                                                                                  \
            argmax<T, PACK>(x, partial, y, splits);                                                                \
        else                                                                                                       \
            argmax<T, 1>(x, partial, y, splits);                                                                   \
    }
ARGMAX(argmax_f32, float)
ARGMAX(argmax_f16, f16)
ARGMAX(argmax_bf16, bf16)

// The columns that the splits of argmax found, put together; one warp a row.
extern "C" __global__ void argmax_rows(Global<const u64> partial, Global<u32> y, int rows, int splits) {
    const int lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    for (i64 row = i64(blockIdx.x) * warps + threadIdx.x / WARP; row < rows; row += i64(gridDim.x) * warps) {
        u64 mine = 0;
        for (int split = lane; split < splits; split += WARP) {
            u64 other = partial[row * splits + split];
            mine = other > mine ? other : mine;
        }
        mine = warp_largest(mine);
        if (lane == 0) y[row] = ~u32(mine);
    }
}
