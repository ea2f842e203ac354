// Attention in f32, exactly: no tensor cores. One block of 16 × 16 threads takes some query rows of one key-value head; the
// softmax runs along as in prefill.cu, the parts of a decoded row are those of attention.cu.
#include "prelude.cuh"

#define SIDE 16

struct alignas(16) Floats {
    float x[4];
};

// Keys and values of one head; `begin..end` are seen by some row. A row sees the last `span` keys before its end.
struct Keys {
    Global<const float> k;
    i64 k_stride;
    Global<const float> v;
    i64 v_stride;
    int begin;
    int end;
    int span;
    int head_dim;
    bool wide;
};

// Of a thread: rows y + 16·i of the block, x and y its place among the threads; columns (x + 16·c)·4 + j of them.
template <int HD, int RM>
struct State {
    float out[RM][HD / 64][4];
    float largest[RM];
    float total[RM];
};

// Floats from row to row in shared memory: an odd number of 16-byte pieces, so that eight rows start in different banks.
template <int HD>
struct Tile {
    static constexpr int STRIDE = HD + 4;
};

// One row by 16 threads; columns from head_dim on, and rows that are not there, become zero.
template <int HD>
__device__ inline void load_row(float* target, Global<const float> source, bool there, int head_dim, bool wide) {
    int x = threadIdx.x % SIDE;
    if (wide) {
#pragma unroll
        for (int c = 0; c < HD / 64; c++) {
            int col = (x + SIDE * c) * 4;
            copy_async(target + col, view_as<const char>(source + col), there && col < head_dim ? 16 : 0);
        }
        return;
    }
    for (int col = x; col < HD; col += SIDE) target[col] = there && col < head_dim ? source[col] : 0.0f;
}

template <int HD, int BN>
__device__ inline void load_tile(float* tile, Global<const float> source, i64 stride, int key, const Keys& keys) {
    for (int r = threadIdx.x / SIDE; r < BN; r += SIDE)
        load_row<HD>(tile + r * Tile<HD>::STRIDE, source + i64(key + r) * stride, key + r < keys.end, keys.head_dim,
                     keys.wide);
    copy_async_commit();
}

// Where things are in shared memory.
template <int HD, int BM, int BN>
struct Shared {
    float* q;
    float* k;
    float* v;
    float* weights;

    static constexpr int WEIGHTS = BN + 4;

    __device__ Shared() {
        q = dynamic_shared<float>();
        k = q + BM * Tile<HD>::STRIDE;
        v = k + BN * Tile<HD>::STRIDE;
        weights = v + BN * Tile<HD>::STRIDE;
    }
};

// `to(row)`: one past the last key that a row of the block attends to. Queries must have been started on their way.
template <int HD, int BM, int BN, class To>
__device__ inline void attend(const Shared<HD, BM, BN>& shared, const Keys& keys, float factor, To to,
                              State<HD, BM / SIDE>& state) {
    constexpr int STRIDE = Tile<HD>::STRIDE, RM = BM / SIDE, RN = BN / SIDE, WEIGHTS = Shared<HD, BM, BN>::WEIGHTS;
    const int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    const float none = __uint_as_float(0xff800000u);
#pragma unroll
    for (int i = 0; i < RM; i++) {
        state.largest[i] = none;
        state.total[i] = 0.0f;
#pragma unroll
        for (int c = 0; c < HD / 64; c++)
#pragma unroll
            for (int j = 0; j < 4; j++) state.out[i][c][j] = 0.0f;
    }
    load_tile<HD, BN>(shared.k, keys.k, keys.k_stride, keys.begin, keys);
    for (int key = keys.begin; key < keys.end; key += BN) {
        // The keys are there, and all are done with the values before.
        copy_async_wait<0>();
        __syncthreads();
        load_tile<HD, BN>(shared.v, keys.v, keys.v_stride, key, keys);
        float scores[RM][RN];
#pragma unroll
        for (int i = 0; i < RM; i++)
#pragma unroll
            for (int j = 0; j < RN; j++) scores[i][j] = 0.0f;
#pragma unroll 4
        for (int col = 0; col < HD; col += 4) {
            Floats a[RM], b[RN];
#pragma unroll
            for (int i = 0; i < RM; i++)
                a[i] = *reinterpret_cast<const Floats*>(shared.q + (y + SIDE * i) * STRIDE + col);
#pragma unroll
            for (int j = 0; j < RN; j++)
                b[j] = *reinterpret_cast<const Floats*>(shared.k + (x + SIDE * j) * STRIDE + col);
#pragma unroll
            for (int i = 0; i < RM; i++)
#pragma unroll
                for (int j = 0; j < RN; j++)
#pragma unroll
                    for (int c = 0; c < 4; c++) scores[i][j] += a[i].x[c] * b[j].x[c];
        }
        // The values are there, and all are done with the keys.
        copy_async_wait<0>();
        __syncthreads();
        if (key + BN < keys.end) load_tile<HD, BN>(shared.k, keys.k, keys.k_stride, key + BN, keys);
#pragma unroll
        for (int i = 0; i < RM; i++) {
            const int row = y + SIDE * i, ahead = to(row) - key;
            float most = state.largest[i];
#pragma unroll
            for (int j = 0; j < RN; j++) {
                int left = ahead - (x + SIDE * j);
                scores[i][j] = left > 0 && left <= keys.span ? scores[i][j] * factor : none;
                most = fmaxf(most, scores[i][j]);
            }
            // The 16 threads of a row are neighbours in a warp.
#pragma unroll
            for (int mask = SIDE / 2; mask > 0; mask /= 2) most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, mask));
            float shift = most == none ? 0.0f : most, keep = exp2f(state.largest[i] - shift), sum = 0.0f;
            state.largest[i] = most;
#pragma unroll
            for (int j = 0; j < RN; j++) {
                float weight = exp2f(scores[i][j] - shift);
                shared.weights[row * WEIGHTS + x + SIDE * j] = weight;
                sum += weight;
            }
            state.total[i] = state.total[i] * keep + sum;
#pragma unroll
            for (int c = 0; c < HD / 64; c++)
#pragma unroll
                for (int j = 0; j < 4; j++) state.out[i][c][j] *= keep;
        }
        __syncwarp();
#pragma unroll 4
        for (int n = 0; n < BN; n++) {
            Floats b[HD / 64];
#pragma unroll
            for (int c = 0; c < HD / 64; c++)
                b[c] = *reinterpret_cast<const Floats*>(shared.v + n * STRIDE + (x + SIDE * c) * 4);
#pragma unroll
            for (int i = 0; i < RM; i++) {
                float weight = shared.weights[(y + SIDE * i) * WEIGHTS + n];
#pragma unroll
                for (int c = 0; c < HD / 64; c++)
#pragma unroll
                    for (int j = 0; j < 4; j++) state.out[i][c][j] += weight * b[c].x[j];
            }
        }
        __syncwarp();
    }
#pragma unroll
    for (int i = 0; i < RM; i++)
#pragma unroll
        for (int mask = SIDE / 2; mask > 0; mask /= 2)
            state.total[i] += __shfl_xor_sync(ALL_LANES, state.total[i], mask);
}

// Many rows a sequence: what prefill.cu says of its kernels holds here, too.
template <int HD, int BM, int BN>
__device__ inline void attend_rows(Matrix<const float> q, Global<const float> k, i64 k_stride, Global<const float> v,
                                   i64 v_stride, Matrix<float> y, Global<const u32> starts, Global<const u32> slots,
                                   Global<const u32> positions, int group, int head_dim, int slot_count, int capacity,
                                   int span, float factor, int wide) {
    const i64 start = starts[blockIdx.z], end = starts[blockIdx.z + 1];
    if (start >= end || end > q.rows) return;
    int tokens = int(end - start), first = 0;
    i64 k_offset = start * k_stride + i64(blockIdx.x) * head_dim, v_offset = start * v_stride + i64(blockIdx.x) * head_dim;
    const bool cached = capacity > 0;
    if (cached) {
        u32 slot = slots[start], position = positions[start];
        if (slot >= u32(slot_count) || position >= u32(capacity)) return;
        first = int(position);
        tokens = min(tokens, capacity - first);
        k_offset = v_offset = (i64(slot) * gridDim.x + blockIdx.x) * capacity * head_dim;
    }
    const int rows = tokens * group, row0 = int(gridDim.y - 1 - blockIdx.y) * BM;
    if (row0 >= rows) return;
    auto to = [&](int r) {
        int row = row0 + r;
        if (row >= rows) return 0;
        return cached ? first + row / group + 1 : tokens;
    };
    Shared<HD, BM, BN> shared;
    for (int r = threadIdx.x / SIDE; r < BM; r += SIDE) {
        int row = row0 + r, token = row / group;
        i64 head = i64(blockIdx.x) * group + (row - token * group);
        load_row<HD>(shared.q + r * Tile<HD>::STRIDE, q.row(start + token) + head * head_dim, row < rows, head_dim,
                     wide != 0);
    }
    const Keys keys{k + k_offset,         k_stride, v + v_offset, v_stride, max(to(0) - span, 0),
                    to(min(BM, rows - row0) - 1), span,     head_dim,     wide != 0};
    State<HD, BM / SIDE> state;
    attend<HD, BM, BN>(shared, keys, factor, to, state);
#pragma unroll
    for (int i = 0; i < BM / SIDE; i++) {
        int row = row0 + threadIdx.x / SIDE + SIDE * i, token = row / group;
        if (row >= rows) continue;
        i64 head = i64(blockIdx.x) * group + (row - token * group);
        Global<float> target = y.row(start + token) + head * head_dim;
#pragma unroll
        for (int c = 0; c < HD / 64; c++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                int col = (threadIdx.x % SIDE + SIDE * c) * 4 + j;
                if (col < head_dim) target[col] = state.out[i][c][j] / state.total[i];
            }
        }
    }
}

// The keys of one part of a sequence. The same as in attention.cu, whose attention_combine_f32 puts the parts together.
struct Part {
    int begin;
    int end;
};
__device__ inline Part part_of(int position, int span, int splits, int split) {
    int to = position + 1, from = max(to - span, 0);
    i64 each = (i64(to - from) + splits - 1) / splits;
    each = (each + 63) / 64 * 64;
    i64 begin = min(from + each * split, i64(to));
    return Part{int(begin), int(min(begin + each, i64(to)))};
}

// One row a sequence: what attention.cu says of its kernels holds here, too.
template <int HD, int BN>
__device__ inline void decode(Matrix<const float> q, Global<const float> k, Global<const float> v,
                              Global<const u32> slots, Global<const u32> positions, Matrix<float> y,
                              Global<float> partial, int group, int head_dim, int slot_count, int capacity, int span,
                              float factor, int wide) {
    const int tiles = (group + 15) / 16, kv_head = blockIdx.x / tiles, first_head = blockIdx.x % tiles * 16;
    const int heads = min(group - first_head, 16);
    const i64 row = blockIdx.z;
    u32 slot = slots[row], position = positions[row];
    if (slot >= u32(slot_count) || position >= u32(capacity)) return;
    const Part part = part_of(int(position), span, gridDim.y, blockIdx.y);
    if (part.begin >= part.end) return;
    const i64 offset = (i64(slot) * (gridDim.x / tiles) + kv_head) * capacity * head_dim;
    const i64 first = i64(kv_head) * group + first_head;
    const int x = threadIdx.x % SIDE, head = threadIdx.x / SIDE;

    Shared<HD, SIDE, BN> shared;
    load_row<HD>(shared.q + head * Tile<HD>::STRIDE, q.row(row) + (first + head) * head_dim, head < heads, head_dim,
                 wide != 0);
    const Keys keys{k + offset, head_dim, v + offset, head_dim, part.begin, part.end, 0x7fffffff, head_dim, wide != 0};
    State<HD, 1> state;
    attend<HD, SIDE, BN>(shared, keys, factor, [&](int) { return part.end; }, state);
    if (head >= heads) return;

    const int splits = gridDim.y;
    const i64 query_heads = i64(gridDim.x / tiles) * group;
    const i64 place = (row * query_heads + first + head) * splits + blockIdx.y;
    if (splits > 1 && x == 0) {
        Global<float> ends = partial + (i64(gridDim.z) * query_heads * splits * head_dim + place * 2);
        ends[0] = state.largest[0];
        ends[1] = state.total[0];
    }
#pragma unroll
    for (int c = 0; c < HD / 64; c++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int col = (x + SIDE * c) * 4 + j;
            if (col >= head_dim) continue;
            if (splits == 1)
                y.row(row)[(first + head) * head_dim + col] = state.out[0][c][j] / state.total[0];
            else
                partial[place * head_dim + col] = state.out[0][c][j];
        }
    }
}

// Blocks: key-value heads × tiles of the longest sequence's rows × sequences.
#define ATTENTION_ROWS(NAME, HD, BM, BN)                                                                            \
    extern "C" __global__ void NAME(Matrix<const float> q, Global<const float> k, i64 k_stride,                     \
                                    Global<const float> v, i64 v_stride, Matrix<float> y, Global<const u32> starts, \
                                    Global<const u32> slots, Global<const u32> positions, int group, int head_dim,  \
                                    int slot_count, int capacity, int span, float factor, int wide) {              \
        attend_rows<HD, BM, BN>(q, k, k_stride, v, v_stride, y, starts, slots, positions, group, head_dim,          \
                                slot_count, capacity, span, factor, wide);                                         \
    }
ATTENTION_ROWS(attention_rows_f32_64, 64, 64, 32)
ATTENTION_ROWS(attention_rows_f32_128, 128, 64, 32)
ATTENTION_ROWS(attention_rows_f32_256, 256, 32, 16)

// Blocks: tiles of 16 heads × splits × rows.
#define DECODE(NAME, HD, BN)                                                                                        \
    extern "C" __global__ void NAME(Matrix<const float> q, Global<const float> keys, Global<const float> values,    \
                                    Global<const u32> slots, Global<const u32> positions, Matrix<float> y,          \
                                    Global<float> partial, int group, int head_dim, int slot_count, int capacity,   \
                                    int span, float factor, int wide) {                                            \
        decode<HD, BN>(q, keys, values, slots, positions, y, partial, group, head_dim, slot_count, capacity,        \
                       span, factor, wide);                                                                        \
    }
DECODE(attention_decode_f32_64, 64, 32)
DECODE(attention_decode_f32_128, 128, 32)
DECODE(attention_decode_f32_256, 256, 32)
