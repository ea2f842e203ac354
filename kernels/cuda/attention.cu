// The KV cache, and attention of one query row a sequence over it, in 16-bit floats; how the parts are put together.
//
// A sequence's keys are split over several blocks, so that one short batch keeps the whole device busy (Dao et al.,
// Flash-Decoding, 2023). How many blocks there are is fixed when the kernel is launched; which keys each takes follows from the
// position that is in device memory, so that a recorded graph serves all steps. Every query head of one key-value head
// is in the same block: they are the rows of the matrix products, and keys and values are read once for all.
#include "prelude.cuh"

// Rows of keys and values to their places, in units of whatever size divides a head: `head` of them.
// Blocks: rows × pieces of a row × {keys, values}.
template <class Unit>
__device__ inline void write_cache(Global<const Unit> k, i64 k_stride, Global<const Unit> v, i64 v_stride,
                                   Global<Unit> keys, Global<Unit> values, Global<const u32> slots,
                                   Global<const u32> positions, int kv_heads, int head, int slot_count, int capacity) {
    int col = blockIdx.y * blockDim.x + threadIdx.x;
    i64 row = blockIdx.x;
    u32 slot = slots[row], position = positions[row];
    if (slot >= u32(slot_count) || position >= u32(capacity) || col >= kv_heads * head) return;
    i64 place = ((i64(slot) * kv_heads + col / head) * capacity + position) * head + col % head;
    if (blockIdx.z == 0)
        keys[place] = k[row * k_stride + col];
    else
        values[place] = v[row * v_stride + col];
}

#define KV_WRITE(NAME, UNIT)                                                                                        \
    extern "C" __global__ void NAME(Global<const UNIT> k, i64 k_stride, Global<const UNIT> v, i64 v_stride,         \
                                    Global<UNIT> keys, Global<UNIT> values, Global<const u32> slots,                \
                                    Global<const u32> positions, int kv_heads, int head, int slot_count,            \
                                    int capacity) {                                                                 \
        write_cache<UNIT>(k, k_stride, v, v_stride, keys, values, slots, positions, kv_heads, head, slot_count,     \
                          capacity);                                                                                \
    }
KV_WRITE(kv_write_2, u16)
KV_WRITE(kv_write_4, u32)
KV_WRITE(kv_write_16, Bytes16)

// The keys of one part of a sequence, and how many parts have any.
struct Part {
    int begin;
    int end;
    int parts;
};

// Splits the last `span` keys up to `position` evenly, in multiples of 64.
__device__ inline Part part_of(int position, int span, int splits, int split) {
    int to = position + 1, from = max(to - span, 0);
    i64 each = (i64(to - from) + splits - 1) / splits;
    each = (each + 63) / 64 * 64;
    i64 begin = min(from + each * split, i64(to));
    return Part{int(begin), int(min(begin + each, i64(to))), int((to - from + each - 1) / each)};
}

// Rows in shared memory are 16 bytes longer than they need: an odd number of 16-byte pieces, so that eight rows start in
// different banks.
template <int HD>
struct Tile {
    static constexpr int STRIDE = HD + 8;
    // Threads that load one row.
    static constexpr int LANES = HD % 64 == 0 ? 8 : 4;
};

// 16 keys or values, of which `count` are there, by one warp; other rows, and columns from head_dim on, become zero.
template <class T, int HD>
__device__ inline void load_keys(T* tile, Global<const T> source, int count, int head_dim, bool wide) {
    constexpr int LANES = Tile<HD>::LANES, STEP = LANES * 8;
    int lane = threadIdx.x % WARP, first = lane / LANES, col = lane % LANES * 8;
    source = source + (i64(first) * head_dim + col);
    tile += first * Tile<HD>::STRIDE + col;
    count -= first;
    if (wide) {
#pragma unroll
        for (int row = 0; row < 16; row += WARP / LANES) {
            int left = row < count ? head_dim - col : 0;
#pragma unroll
            for (int i = 0; i < HD; i += STEP)
                copy_async(tile + row * Tile<HD>::STRIDE + i, view_as<const char>(source + (i64(row) * head_dim + i)),
                           i < left ? 16 : 0);
        }
        return;
    }
#pragma unroll 1
    for (int i = 0; i < 16 * HD / WARP; i++) {
        int row = i / (HD / LANES) * (WARP / LANES), piece = i % (HD / LANES) / 8 * STEP + i % 8;
        T x{0};
        if (row < count && piece < head_dim - col) x = source[i64(row) * head_dim + piece];
        tile[row * Tile<HD>::STRIDE + piece] = x;
    }
}

// One block takes up to 16 heads of one group over one part of the keys; each warp takes 16 keys in turn, through its own
// stages in shared memory, and keeps its own softmax.
template <class T, int HD, int WARPS, int STAGES>
__device__ inline void decode(Matrix<const T> q, Global<const T> keys, Global<const T> values, Global<const u32> slots,
                              Global<const u32> positions, Matrix<T> y, Global<float> partial, int group, int head_dim,
                              int slot_count, int capacity, int span, float factor, int wide) {
    constexpr int STRIDE = Tile<HD>::STRIDE, STAGE = 2 * 16 * STRIDE;
    const float none = __uint_as_float(0xff800000u);
    const int tiles = (group + 15) / 16, kv_head = blockIdx.x / tiles, first_head = blockIdx.x % tiles * 16;
    const int heads = min(group - first_head, 16);
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const i64 row = blockIdx.z;
    u32 slot = slots[row], position = positions[row];
    if (slot >= u32(slot_count) || position >= u32(capacity)) return;
    const Part part = part_of(int(position), span, gridDim.y, blockIdx.y);
    if (part.begin >= part.end) return;
    const i64 offset = (i64(slot) * (gridDim.x / tiles) + kv_head) * capacity * head_dim;

    T* q_tile = dynamic_shared<T>();
    T* stages = q_tile + 16 * STRIDE + warp * STAGES * STAGE;
    auto load_step = [&](int step) {
        int key = part.begin + (step * WARPS + warp) * 16;
        T* stage = stages + step % STAGES * STAGE;
        i64 at = offset + i64(key) * head_dim;
        if (key < part.end) {
            load_keys<T, HD>(stage, keys + at, part.end - key, head_dim, wide != 0);
            load_keys<T, HD>(stage + 16 * STRIDE, values + at, part.end - key, head_dim, wide != 0);
        }
    };
    // Every step has its group, also an empty one, so that the count of groups tells which step is there.
#pragma unroll
    for (int step = 0; step < STAGES - 1; step++) {
        load_step(step);
        copy_async_commit();
    }
    Global<const T> queries = q.row(row) + (i64(kv_head) * group + first_head) * head_dim;
    for (int i = threadIdx.x; i < 16 * HD; i += WARPS * WARP) {
        int head = i / HD, col = i % HD;
        T x{0};
        if (head < heads && col < head_dim) x = queries[i64(head) * head_dim + col];
        q_tile[head * STRIDE + col] = x;
    }
    __syncthreads();

    // Of this thread: heads lane / 4 + 8·h.
    float largest[2] = {none, none}, total[2] = {0.0f, 0.0f}, out[HD / 8][4];
#pragma unroll
    for (int n = 0; n < HD / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) out[n][i] = 0.0f;
    const T* q_lane = q_tile + lane % 16 * STRIDE + lane / 16 * 8;
    const T* k_lanes = stages + (lane / 16 * 8 + lane % 8) * STRIDE + lane / 8 % 2 * 8;
    const T* v_lanes = stages + (16 + lane % 16) * STRIDE + lane / 16 * 8;

#pragma unroll 1
    for (int step = 0;; step++) {
        const int key = part.begin + (step * WARPS + warp) * 16;
        if (key >= part.end) break;
        load_step(step + STAGES - 1);
        copy_async_commit();
        copy_async_wait<STAGES - 1>();
        __syncwarp();
        const T* k_lane = k_lanes + step % STAGES * STAGE;
        const T* v_lane = v_lanes + step % STAGES * STAGE;

        // Two accumulators a tile, since one would have to wait for itself.
        float scores[2][4], more[2][4];
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) scores[n][i] = more[n][i] = 0.0f;
#pragma unroll
        for (int c = 0; c < HD / 16; c += 2) {
            u32 a[4], b[4];
            load_matrices(a, q_lane + c * 16);
            load_matrices(b, k_lane + c * 16);
            const u32 b0[2] = {b[0], b[1]}, b1[2] = {b[2], b[3]};
            mma<T>(scores[0], a, b0);
            mma<T>(scores[1], a, b1);
            load_matrices(a, q_lane + c * 16 + 16);
            load_matrices(b, k_lane + c * 16 + 16);
            const u32 b2[2] = {b[0], b[1]}, b3[2] = {b[2], b[3]};
            mma<T>(more[0], a, b2);
            mma<T>(more[1], a, b3);
        }
#pragma unroll
        for (int n = 0; n < 2; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int at = key + n * 8 + lane % 4 * 2 + i % 2;
                scores[n][i] = at < part.end ? (scores[n][i] + more[n][i]) * factor : none;
            }
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float most = largest[h];
#pragma unroll
            for (int n = 0; n < 2; n++) most = fmaxf(most, fmaxf(scores[n][h * 2], scores[n][h * 2 + 1]));
            most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 1));
            most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 2));
            float shift = most == none ? 0.0f : most;
            float keep = exp2_approximate(largest[h] - shift), sum = 0.0f;
            largest[h] = most;
#pragma unroll
            for (int n = 0; n < 2; n++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    scores[n][h * 2 + i] = exp2_approximate(scores[n][h * 2 + i] - shift);
                    sum += scores[n][h * 2 + i];
                }
            }
            total[h] = total[h] * keep + sum;
#pragma unroll
            for (int n = 0; n < HD / 8; n++) {
                out[n][h * 2] *= keep;
                out[n][h * 2 + 1] *= keep;
            }
        }
        const u32 a[4] = {pack<T>(scores[0][0], scores[0][1]), pack<T>(scores[0][2], scores[0][3]),
                          pack<T>(scores[1][0], scores[1][1]), pack<T>(scores[1][2], scores[1][3])};
#pragma unroll
        for (int n = 0; n < HD / 16; n++) {
            u32 b[4];
            load_matrices_transposed(b, v_lane + n * 16);
            const u32 b0[2] = {b[0], b[1]}, b1[2] = {b[2], b[3]};
            mma<T>(out[2 * n], a, b0);
            mma<T>(out[2 * n + 1], a, b1);
        }
        // The next step loads into this stage.
        __syncwarp();
    }

    // The warps' results together. The stages are no longer needed: what is still under way are empty groups.
    constexpr int OUT = HD + 8;
    __syncthreads();
    float* sums = dynamic_shared<float>();
    float* stats = sums + WARPS * 16 * OUT;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int head = warp * 16 + h * 8 + lane / 4;
        total[h] += __shfl_xor_sync(ALL_LANES, total[h], 1);
        total[h] += __shfl_xor_sync(ALL_LANES, total[h], 2);
        if (lane % 4 == 0) {
            stats[head * 2] = largest[h];
            stats[head * 2 + 1] = total[h];
        }
#pragma unroll
        for (int n = 0; n < HD / 8; n++) {
            sums[head * OUT + n * 8 + lane % 4 * 2] = out[n][h * 2];
            sums[head * OUT + n * 8 + lane % 4 * 2 + 1] = out[n][h * 2 + 1];
        }
    }
    __syncthreads();
    const int splits = gridDim.y;
    const i64 query_heads = i64(gridDim.x / tiles) * group, first = i64(kv_head) * group + first_head;
    for (int i = threadIdx.x; i < heads * head_dim; i += WARPS * WARP) {
        int head = i / head_dim, col = i % head_dim;
        // The first warp has keys, so that this is not minus infinity.
        float most = stats[head * 2];
#pragma unroll
        for (int w = 1; w < WARPS; w++) most = fmaxf(most, stats[(w * 16 + head) * 2]);
        float sum = 0.0f, all = 0.0f;
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            float weight = exp2_approximate(stats[(w * 16 + head) * 2] - most);
            sum += weight * sums[(w * 16 + head) * OUT + col];
            all += weight * stats[(w * 16 + head) * 2 + 1];
        }
        if (splits == 1) {
            y.row(row)[(first + head) * head_dim + col] = from_f32<T>(sum / all);
            continue;
        }
        i64 place = (row * query_heads + first + head) * splits + blockIdx.y;
        partial[place * head_dim + col] = sum;
        if (col == 0) {
            Global<float> ends = partial + (i64(gridDim.z) * query_heads * splits * head_dim + place * 2);
            ends[0] = most;
            ends[1] = all;
        }
    }
}

// Blocks: tiles of 16 heads × splits × rows.
#define DECODE(NAME, T, HD, WARPS, STAGES)                                                                          \
    extern "C" __global__ void NAME(Matrix<const T> q, Global<const T> keys, Global<const T> values,                \
                                    Global<const u32> slots, Global<const u32> positions, Matrix<T> y,              \
                                    Global<float> partial, int group, int head_dim, int slot_count, int capacity,   \
                                    int span, float factor, int wide) {                                            \
        decode<T, HD, WARPS, STAGES>(q, keys, values, slots, positions, y, partial, group, head_dim, slot_count,    \
                                     capacity, span, factor, wide);                                                \
    }
#define DECODE_ALL(T)                            \
    DECODE(attention_decode_##T##_64, T, 64, 4, 4)   \
    DECODE(attention_decode_##T##_96, T, 96, 4, 3)   \
    DECODE(attention_decode_##T##_128, T, 128, 4, 2) \
    DECODE(attention_decode_##T##_256, T, 256, 2, 2)
DECODE_ALL(f16)
DECODE_ALL(bf16)

// The parts of one head of one row, each with its largest score (in units of ln 2) and its sum, to one row of y.
// Blocks: query heads × rows.
template <class T>
__device__ inline void combine(Global<const float> partial, Global<const u32> slots, Global<const u32> positions,
                               Matrix<T> y, int splits, int head_dim, int slot_count, int capacity, int span) {
    i64 row = blockIdx.y;
    u32 slot = slots[row], position = positions[row];
    if (slot >= u32(slot_count) || position >= u32(capacity)) return;
    const int parts = part_of(int(position), span, splits, 0).parts;
    i64 place = (row * gridDim.x + blockIdx.x) * splits;
    Global<const float> sums = partial + place * head_dim;
    Global<const float> ends = partial + (i64(gridDim.y) * gridDim.x * splits * head_dim + place * 2);

    // Each warp for itself: the factor of every part.
    float* factors = dynamic_shared<float>();
    int lane = threadIdx.x % WARP;
    float most = ends[0], all = 0.0f;
    for (int i = lane; i < parts; i += WARP) most = fmaxf(most, ends[2 * i]);
    most = warp_max(most);
    for (int i = lane; i < parts; i += WARP) {
        float weight = exp2f(ends[2 * i] - most);
        all += weight * ends[2 * i + 1];
        if (threadIdx.x < WARP) factors[i] = weight;
    }
    all = warp_sum(all);
    __syncthreads();
    Global<T> target = y.row(row) + i64(blockIdx.x) * head_dim;
    for (int col = threadIdx.x; col < head_dim; col += blockDim.x) {
        float sum = 0.0f;
#pragma unroll 8
        for (int i = 0; i < parts; i++) sum += factors[i] * sums[i64(i) * head_dim + col];
        target[col] = from_f32<T>(sum / all);
    }
}

#define COMBINE(NAME, T)                                                                                            \
    extern "C" __global__ void NAME(Global<const float> partial, Global<const u32> slots,                           \
                                    Global<const u32> positions, Matrix<T> y, int splits, int head_dim,             \
                                    int slot_count, int capacity, int span) {                                     \
        combine<T>(partial, slots, positions, y, splits, head_dim, slot_count, capacity, span);                   \
    }
COMBINE(attention_combine_f32, float)
COMBINE(attention_combine_f16, f16)
COMBINE(attention_combine_bf16, bf16)
