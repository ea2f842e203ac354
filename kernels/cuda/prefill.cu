// Attention of many query rows a sequence, in 16-bit floats: causal over a cache, or bidirectional within each sequence.
//
// Keys go by in tiles; each row keeps its largest score and its sum so far and rescales earlier results when a larger
// score appears (Milakov & Gimelshein 2018; Dao et al., FlashAttention, 2022; Dao, FlashAttention-2, 2023). The weights
// of a tile never leave the registers: the accumulator of scores = q·kᵀ is laid out like the left operand of weights·v.
//
// All query heads that read one key-value head share its tiles: row r of a sequence is head r % group of token r / group.
#include "prelude.cuh"

#define WARPS 4
#define THREADS (WARPS * WARP)

// What the kernels take. `capacity` is 0 where keys and values lie in the rows of the sequences instead of a cache. A row
// attends to the last `span` keys before its end. Scores are q·k times `factor`, in units of ln 2: weights are powers of two.
template <class T>
struct Problem {
    Matrix<const T> q;
    Global<const T> k;
    i64 k_stride;
    Global<const T> v;
    i64 v_stride;
    Matrix<T> y;
    Global<const u32> starts;
    Global<const u32> slots;
    Global<const u32> positions;
    int group;
    int head_dim;
    int slot_count;
    int capacity;
    int span;
    float factor;
    int wide;
};

// The rows of one sequence, and where their keys are.
template <class T>
struct Sequence {
    i64 start;
    int tokens;
    int position;
    Global<const T> k;
    Global<const T> v;
};

// False where there is nothing to do, or what was read does not fit the views.
template <class T>
__device__ inline bool find_sequence(const Problem<T>& p, Sequence<T>& sequence) {
    i64 start = p.starts[blockIdx.z], end = p.starts[blockIdx.z + 1];
    if (start >= end || end > p.q.rows) return false;
    sequence.start = start;
    sequence.tokens = int(end - start);
    sequence.position = 0;
    i64 head = i64(blockIdx.x) * p.head_dim;
    if (p.capacity == 0) {
        sequence.k = p.k + (start * p.k_stride + head);
        sequence.v = p.v + (start * p.v_stride + head);
        return true;
    }
    u32 slot = p.slots[start], position = p.positions[start];
    if (slot >= u32(p.slot_count) || position >= u32(p.capacity)) return false;
    sequence.position = int(position);
    // Rows past the capacity have no place.
    sequence.tokens = min(sequence.tokens, p.capacity - int(position));
    i64 offset = (i64(slot) * gridDim.x + blockIdx.x) * p.capacity * p.head_dim;
    sequence.k = p.k + offset;
    sequence.v = p.v + offset;
    return true;
}

// One past the last key that a token attends to; the first is `span` before it.
template <class T>
__device__ inline int seen_to(const Problem<T>& p, const Sequence<T>& sequence, int token) {
    return p.capacity == 0 ? sequence.tokens : sequence.position + token + 1;
}

// Rows in shared memory are 16 bytes longer than they need: an odd number of 16-byte pieces, so that eight rows start in
// different banks.
template <int HD>
struct Tile {
    static constexpr int STRIDE = HD + 8;
    // Threads that load or store one row.
    static constexpr int LANES = HD % 64 == 0 ? 8 : 4;
};

// A part of a row of a tile, by one of LANES threads: `target` and `source` are at its first piece of 8 columns. Columns
// from head_dim on, and rows that are not there, become zero.
template <class T, int HD>
__device__ inline void load_row(T* target, Global<const T> source, bool there, int head_dim, bool wide) {
    constexpr int STEP = Tile<HD>::LANES * 8;
    int left = there ? head_dim - threadIdx.x % Tile<HD>::LANES * 8 : 0;
    if (wide) {
#pragma unroll
        for (int col = 0; col < HD; col += STEP)
            copy_async(target + col, view_as<const char>(source + col), col < left ? 16 : 0);
        return;
    }
#pragma unroll 1
    for (int i = 0; i < HD / Tile<HD>::LANES; i++) {
        int col = i / 8 * STEP + i % 8;
        T x{0};
        if (col < left) x = source[col];
        target[col] = x;
    }
}

// `ROWS` keys or values, of which `count` are there, by all threads, each from its first piece on.
template <class T, int HD, int ROWS>
__device__ inline void load_tile(T* tile, Global<const T> source, i64 stride, int count, int head_dim, bool wide) {
    constexpr int PASS = THREADS / Tile<HD>::LANES;
    count -= threadIdx.x / Tile<HD>::LANES;
    if (wide) {
#pragma unroll
        for (int i = 0; i < ROWS / PASS; i++) {
            load_row<T, HD>(tile + i * PASS * Tile<HD>::STRIDE, source, i * PASS < count, head_dim, true);
            source = source + PASS * stride;
        }
        return;
    }
#pragma unroll 1
    for (int i = 0; i < ROWS / PASS; i++)
        load_row<T, HD>(tile + i * PASS * Tile<HD>::STRIDE, source + i * PASS * stride, i * PASS < count, head_dim, false);
}

// MT blocks of 16 rows a warp against KEYS keys at a time.
template <class T, int HD, int MT, int KEYS>
__device__ inline void attend(const Problem<T>& p) {
    constexpr int STRIDE = Tile<HD>::STRIDE, LANES = Tile<HD>::LANES, ROWS = WARPS * MT * 16;
    static_assert(ROWS * LANES % THREADS == 0 && KEYS * LANES % THREADS == 0 && KEYS % 16 == 0, "whole passes");
    const float none = __uint_as_float(0xff800000u);

    Sequence<T> sequence;
    if (!find_sequence(p, sequence)) return;
    const int rows = sequence.tokens * p.group;
    // The last rows have the most keys: they go first.
    const int row0 = int(gridDim.y - 1 - blockIdx.y) * ROWS;
    if (row0 >= rows) return;
    // What the first and the last row attend to, and so all others in between.
    const int first_to = seen_to(p, sequence, row0 / p.group);
    const int last_to = seen_to(p, sequence, (min(row0 + ROWS, rows) - 1) / p.group);
    const bool wide = p.wide != 0;

    T* q_tile = dynamic_shared<T>();
    T* k_tile = q_tile + ROWS * STRIDE;
    T* v_tile = k_tile + KEYS * STRIDE;
    // One past the last key of each row.
    int* to = reinterpret_cast<int*>(v_tile + KEYS * STRIDE);
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;

    // What this thread loads: a part of every (THREADS / LANES)th row.
    const int load_row0 = threadIdx.x / LANES, load_col = threadIdx.x % LANES * 8;
    for (int r = threadIdx.x; r < ROWS; r += THREADS)
        to[r] = row0 + r < rows ? seen_to(p, sequence, (row0 + r) / p.group) : 0;
    for (int r = load_row0; r < ROWS; r += THREADS / LANES) {
        int row = row0 + r, token = row / p.group;
        i64 head = i64(blockIdx.x) * p.group + (row - token * p.group);
        Global<const T> source = p.q.row(sequence.start + token) + (head * p.head_dim + load_col);
        load_row<T, HD>(q_tile + r * STRIDE + load_col, source, row < rows, p.head_dim, wide);
    }
    const int begin = max(first_to - p.span, 0);
    auto load = [&](T* tile, Global<const T> source, i64 stride, int key) {
        load_tile<T, HD, KEYS>(tile + load_row0 * STRIDE + load_col, source + ((key + load_row0) * stride + load_col),
                               stride, last_to - key, p.head_dim, wide);
        copy_async_commit();
    };
    load(k_tile, sequence.k, p.k_stride, begin);

    // Of this thread: rows lane / 4 + 8·h of each block of 16.
    float largest[MT][2], total[MT][2], out[MT][HD / 8][4];
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            largest[m][h] = none;
            total[m][h] = 0.0f;
        }
#pragma unroll
        for (int n = 0; n < HD / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) out[m][n][i] = 0.0f;
    }

    const T* q_lane = q_tile + (warp * MT * 16 + lane % 16) * STRIDE + lane / 16 * 8;
    const T* k_lane = k_tile + (lane / 16 * 8 + lane % 8) * STRIDE + lane / 8 % 2 * 8;
    const T* v_lane = v_tile + lane % 16 * STRIDE + lane / 16 * 8;

    for (int key = begin; key < last_to; key += KEYS) {
        // The keys are there, and all warps are done with the values before.
        copy_async_wait<0>();
        __syncthreads();
        load(v_tile, sequence.v, p.v_stride, key);

        float scores[MT][KEYS / 8][4];
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) scores[m][n][i] = 0.0f;
#pragma unroll 4
        for (int c = 0; c < HD / 16; c++) {
            u32 a[MT][4];
#pragma unroll
            for (int m = 0; m < MT; m++) load_matrices(a[m], q_lane + m * 16 * STRIDE + c * 16);
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                u32 b[4];
                load_matrices(b, k_lane + n * 16 * STRIDE + c * 16);
                const u32 b0[2] = {b[0], b[1]}, b1[2] = {b[2], b[3]};
#pragma unroll
                for (int m = 0; m < MT; m++) {
                    mma<T>(scores[m][2 * n], a[m], b0);
                    mma<T>(scores[m][2 * n + 1], a[m], b1);
                }
            }
        }

        // The values are there, and all warps are done with the keys.
        copy_async_wait<0>();
        __syncthreads();
        if (key + KEYS < last_to) load(k_tile, sequence.k, p.k_stride, key + KEYS);

#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) scores[m][n][i] *= p.factor;
        // Keys that not all rows attend to.
        if (key < last_to - p.span || key + KEYS > first_to) {
#pragma unroll
            for (int m = 0; m < MT; m++) {
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    // From the first key of this thread in the tile.
                    int ahead = to[(warp * MT + m) * 16 + h * 8 + lane / 4] - (key + lane % 4 * 2);
#pragma unroll
                    for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                        for (int i = 0; i < 2; i++) {
                            int left = ahead - (n * 8 + i);
                            if (left <= 0 || left > p.span) scores[m][n][h * 2 + i] = none;
                        }
                    }
                }
            }
        }
#pragma unroll
        for (int m = 0; m < MT; m++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float most = largest[m][h];
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
                    most = fmaxf(most, fmaxf(scores[m][n][h * 2], scores[m][n][h * 2 + 1]));
                most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 1));
                most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 2));
                // A row that has seen nothing yet must not subtract infinities.
                float shift = most == none ? 0.0f : most;
                float keep = exp2_approximate(largest[m][h] - shift), sum = 0.0f;
                largest[m][h] = most;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        float& score = scores[m][n][h * 2 + i];
                        score = exp2_approximate(score - shift);
                        sum += score;
                    }
                }
                total[m][h] = total[m][h] * keep + sum;
#pragma unroll
                for (int n = 0; n < HD / 8; n++) {
                    out[m][n][h * 2] *= keep;
                    out[m][n][h * 2 + 1] *= keep;
                }
            }
        }

#pragma unroll
        for (int c = 0; c < KEYS / 16; c++) {
            u32 a[MT][4];
#pragma unroll
            for (int m = 0; m < MT; m++) {
                a[m][0] = pack<T>(scores[m][2 * c][0], scores[m][2 * c][1]);
                a[m][1] = pack<T>(scores[m][2 * c][2], scores[m][2 * c][3]);
                a[m][2] = pack<T>(scores[m][2 * c + 1][0], scores[m][2 * c + 1][1]);
                a[m][3] = pack<T>(scores[m][2 * c + 1][2], scores[m][2 * c + 1][3]);
            }
#pragma unroll
            for (int n = 0; n < HD / 16; n++) {
                u32 b[4];
                load_matrices_transposed(b, v_lane + c * 16 * STRIDE + n * 16);
                const u32 b0[2] = {b[0], b[1]}, b1[2] = {b[2], b[3]};
#pragma unroll
                for (int m = 0; m < MT; m++) {
                    mma<T>(out[m][2 * n], a[m], b0);
                    mma<T>(out[m][2 * n + 1], a[m], b1);
                }
            }
        }
    }

    // Through the warp's own rows of the query tile, so that whole pieces of rows are written.
    u32* words = reinterpret_cast<u32*>(q_tile) + warp * MT * 16 * (STRIDE / 2);
    __syncwarp();
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float sum = total[m][h];
            sum += __shfl_xor_sync(ALL_LANES, sum, 1);
            sum += __shfl_xor_sync(ALL_LANES, sum, 2);
            float inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
            u32* target = words + (m * 16 + h * 8 + lane / 4) * (STRIDE / 2) + lane % 4;
#pragma unroll
            for (int n = 0; n < HD / 8; n++)
                target[n * 4] = pack<T>(out[m][n][h * 2] * inverse, out[m][n][h * 2 + 1] * inverse);
        }
    }
    __syncwarp();
    for (int r = lane / LANES; r < MT * 16; r += WARP / LANES) {
        int row = row0 + warp * MT * 16 + r, token = row / p.group;
        if (row >= rows) continue;
        i64 head = i64(blockIdx.x) * p.group + (row - token * p.group);
        Global<T> target = p.y.row(sequence.start + token) + head * p.head_dim;
        const u32* source = words + r * (STRIDE / 2);
        if (wide) {
            for (int col = lane % LANES * 8; col < p.head_dim; col += LANES * 8)
                *view_as<Bytes16>(target + col) = *reinterpret_cast<const Bytes16*>(source + col / 2);
        } else {
            for (int col = lane % LANES; col < p.head_dim; col += LANES)
                target[col] = T{u16(source[col / 2] >> (col % 2 * 16))};
        }
    }
}

// Blocks: key-value heads × tiles of the longest sequence's rows × sequences.
#define ATTENTION_ROWS(NAME, T, HD, MT, KEYS)                                                                       \
    extern "C" __global__ void NAME(Matrix<const T> q, Global<const T> k, i64 k_stride, Global<const T> v,          \
                                    i64 v_stride, Matrix<T> y, Global<const u32> starts, Global<const u32> slots,   \
                                    Global<const u32> positions, int group, int head_dim, int slot_count,           \
                                    int capacity, int span, float factor, int wide) {                              \
        attend<T, HD, MT, KEYS>(Problem<T>{q, k, k_stride, v, v_stride, y, starts, slots, positions, group,         \
                                           head_dim, slot_count, capacity, span, factor, wide});                   \
    }

#define ATTENTION_ROWS_ALL(T)                          \
    ATTENTION_ROWS(attention_rows_##T##_64, T, 64, 2, 64)    \
    ATTENTION_ROWS(attention_rows_##T##_96, T, 96, 2, 64)    \
    ATTENTION_ROWS(attention_rows_##T##_128, T, 128, 2, 48)  \
    ATTENTION_ROWS(attention_rows_##T##_256, T, 256, 1, 32)

ATTENTION_ROWS_ALL(f16)
ATTENTION_ROWS_ALL(bf16)
