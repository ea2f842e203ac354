// Kernels with mistakes that the stand-in must find, beside the same without.
#include "prelude.cuh"

// Without mistakes where both hold n numbers.
extern "C" __global__ void copy_numbers(Global<const u32> x, Global<u32> y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}

extern "C" __global__ void read_misaligned(Global<const char> x, Global<u32> y) { y[0] = view_as<const u32>(x + 2)[0]; }

// mode 0 right; 1: threads from 16 on never come; 2: they wait at another barrier.
extern "C" __global__ void barriers(Global<u32> y, int mode) {
    if (mode == 1 && threadIdx.x >= 16) return;
    if (mode == 2 && threadIdx.x >= 16)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = threadIdx.x;
}

// Reverses the numbers of a block through shared memory; wrong without the barrier.
extern "C" __global__ void reverse(Global<u32> y, int with_barrier) {
    __shared__ u32 tile[64];
    tile[threadIdx.x] = blockIdx.x * blockDim.x + threadIdx.x;
    if (with_barrier) __syncthreads();
    y[blockIdx.x * blockDim.x + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

// What fresh shared memory holds, then leaves something there for the next block.
extern "C" __global__ void fresh_shared(Global<u32> y) {
    __shared__ u32 fixed[32];
    u32* dynamic = dynamic_shared<u32>();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[2 * i] = fixed[threadIdx.x];
    y[2 * i + 1] = dynamic[threadIdx.x];
    fixed[threadIdx.x] = dynamic[threadIdx.x] = 0;
}

// mode 0 right; 1: lanes from 8 on are gone; 2: reads a lane that the mask does not name; 3: not all lanes at the same.
extern "C" __global__ void lanes(Global<u32> y, int mode) {
    u32 x = threadIdx.x;
    if (mode == 1 && threadIdx.x >= 8) return;
    if (mode == 2) {
        if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffu, x, 20);
        return;
    }
    if (mode == 3 && threadIdx.x >= 8) {
        __syncwarp();
        return;
    }
    for (int mask = 16; mask > 0; mask /= 2) x += __shfl_xor_sync(ALL_LANES, x, mask);
    y[threadIdx.x] = x;
}

// 16 bytes a thread through shared memory; mode 0 right, 1 without the wait, 2 without the commit.
extern "C" __global__ void copy_through(Global<const char> x, Global<u32> y, int bytes, int mode) {
    __shared__ Bytes16 tile[32];
    copy_async(&tile[threadIdx.x], x + 16 * threadIdx.x, bytes);
    if (mode != 2) copy_async_commit();
    if (mode != 1) copy_async_wait<0>();
    y[4 * threadIdx.x] = tile[threadIdx.x].x;
    y[4 * threadIdx.x + 1] = tile[threadIdx.x].y;
    y[4 * threadIdx.x + 2] = tile[threadIdx.x].z;
    y[4 * threadIdx.x + 3] = tile[threadIdx.x].w;
}

// Waits until somebody sets the flag.
extern "C" __global__ void wait_for(Global<const u32> flag) {
    while (load_volatile(flag) == 0) pause(1000);
}

extern "C" __global__ void count(Global<u32> total) {
    atomicAdd(&total[0], 1u);
    atomicMax(total + 1, blockIdx.x * blockDim.x + threadIdx.x);
}

extern "C" __global__ void set(Global<u32> y, int n, u32 value) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = value;
}

// y[i] = 2·x[i], of the x and y whose addresses are in device memory.
extern "C" __global__ void twice(Global<const u32> x, Global<u32> y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = 2 * x[i];
}

extern "C" __global__ void write_first(Global<u32> x) { x[0] = 1; }

// The parameters as they arrive.
extern "C" __global__ void parameters(Global<u32> y, Matrix<const float> m, float f, i64 long_one, u32 word) {
    y[0] = m.rows;
    y[1] = m.cols;
    y[2] = static_cast<u32>(m.stride);
    y[3] = __float_as_uint(f);
    y[4] = static_cast<u32>(long_one >> 32);
    y[5] = word;
}

// Writes number `at` of dynamic shared memory.
extern "C" __global__ void write_shared(Global<u32> y, int at) {
    u32* shared = dynamic_shared<u32>();
    shared[at + threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = shared[at + threadIdx.x];
}

// Needs `depth` times a kilobyte of stack.
__device__ __noinline__ u32 deep(int depth, volatile u32* above) {
    volatile u32 here[256];
    here[0] = *above + 1;
    return depth == 0 ? here[0] : deep(depth - 1, here) + here[255] * 0;
}
extern "C" __global__ void go_deep(Global<u32> y, int depth) {
    volatile u32 start = 0;
    y[0] = deep(depth, &start);
}

// Undefined from 32 on.
extern "C" __global__ void shift_by(Global<u32> y, int bits) { y[0] = 1u << bits; }
