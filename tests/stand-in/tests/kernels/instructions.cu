// The instructions that the stand-in plays, so that they can be compared with plain arithmetic.
#include "prelude.cuh"

// d = a·b + d for a: [16, 16], b: [16, 8], d: [16, 8], row-major. The fragments are loaded element by element, as the PTX ISA says
// who holds what: element i of a thread's a, b and d.
template <class T>
__device__ inline void product(Global<const T> a, Global<const T> b, Global<float> d) {
    int group = threadIdx.x >> 2, thread = threadIdx.x & 3;
    u32 fa[4] = {0, 0, 0, 0}, fb[2] = {0, 0};
    float fd[4];
    for (int i = 0; i < 8; i++) {
        int row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
        int col = i < 4 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
        fa[i / 2] |= u32(a[row * 16 + col].bits) << (i & 1) * 16;
    }
    for (int i = 0; i < 4; i++) {
        int row = i < 2 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
        fb[i / 2] |= u32(b[row * 8 + group].bits) << (i & 1) * 16;
        int d_row = i < 2 ? group : group + 8;
        fd[i] = d[d_row * 8 + thread * 2 + (i & 1)];
    }
    mma<T>(fd, fa, fb);
    for (int i = 0; i < 4; i++) d[(i < 2 ? group : group + 8) * 8 + thread * 2 + (i & 1)] = fd[i];
}
extern "C" __global__ void product_f16(Global<const f16> a, Global<const f16> b, Global<float> d) { product(a, b, d); }
extern "C" __global__ void product_bf16(Global<const bf16> a, Global<const bf16> b, Global<float> d) { product(a, b, d); }

// The same through shared memory and ldmatrix, for b: [16, 16] and d: [16, 16].
extern "C" __global__ void product_loaded(Global<const f16> a, Global<const f16> b, Global<float> d) {
    __shared__ alignas(16) u16 tile_a[16][16];
    __shared__ alignas(16) u16 tile_b[16][16];
    for (int i = threadIdx.x; i < 256; i += WARP) {
        tile_a[i / 16][i % 16] = a[i].bits;
        tile_b[i / 16][i % 16] = b[i].bits;
    }
    __syncwarp();
    int row = threadIdx.x % 16, col = threadIdx.x / 16 * 8;
    u32 fa[4], fb[4];
    load_matrices(fa, &tile_a[row][col]);
    load_matrices_transposed(fb, &tile_b[row][col]);
    for (int half = 0; half < 2; half++) {
        float fd[4] = {0, 0, 0, 0};
        u32 part[2] = {fb[2 * half], fb[2 * half + 1]};
        mma_f16(fd, fa, part);
        for (int i = 0; i < 4; i++) {
            int d_row = threadIdx.x / 4 + i / 2 * 8, d_col = half * 8 + threadIdx.x % 4 * 2 + i % 2;
            d[d_row * 16 + d_col] = fd[i];
        }
    }
}

// Every 16-bit pattern as f32, and every f32 of x in 16 bits.
extern "C" __global__ void widen(Global<float> from_f16, Global<float> from_bf16) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    from_f16[i] = f16_to_f32(static_cast<u16>(i));
    from_bf16[i] = bf16_to_f32(static_cast<u16>(i));
}
extern "C" __global__ void narrow(Global<const float> x, Global<u16> as_f16, Global<u16> as_bf16, Global<u32> packed) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    as_f16[i] = f32_to_f16(x[i]);
    as_bf16[i] = f32_to_bf16(x[i]);
    packed[i] = pack_f16(x[i], 1.0f);
}

// Sums of a block, and what shuffles bring.
extern "C" __global__ void block_sums(Global<const float> x, Global<float> y) {
    __shared__ float scratch[32];
    y[blockIdx.x * blockDim.x + threadIdx.x] = block_sum(x[blockIdx.x * blockDim.x + threadIdx.x], scratch);
}
extern "C" __global__ void shuffles(Global<u32> y) {
    u32 x = 100 + threadIdx.x;
    y[threadIdx.x] = __shfl_up_sync(ALL_LANES, x, 3);
    y[32 + threadIdx.x] = __shfl_down_sync(ALL_LANES, x, 3);
    y[64 + threadIdx.x] = __shfl_sync(ALL_LANES, x, 5, 8);
    y[96 + threadIdx.x] = __ballot_sync(ALL_LANES, threadIdx.x % 3 == 0);
    y[128 + threadIdx.x] = __shfl_xor_sync(ALL_LANES, x, 8, 8);
}
