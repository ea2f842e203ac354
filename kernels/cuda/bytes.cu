// Bytes in device memory, whatever they mean: patterns, checksums, numbers that move on.
#include "prelude.cuh"

// Adds `by` to each number, wrapping.
extern "C" __global__ void advance(Global<u32> x, int count, u32 by) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) x[i] += by;
}
