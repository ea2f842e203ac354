// What all kernels share. Sources need no header of the CUDA toolkit: NVRTC compiles them as they are, and a test
// compiles the very same text for the CPU (`COLDSTART_ON_HOST`), where `Global` checks every access and the few
// PTX instructions below are played by ordinary code. So: no raw pointer into device memory outside of `Global`, no
// `asm` outside of this file.
//
// Conventions: a kernel is `extern "C" __global__ void`, its parameters are `Matrix`, `Global`, `int`, `long long`,
// `unsigned`, `unsigned long long` and `float`, passed by value in the order in which the launcher pushes them.
#pragma once

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define WARP 32
#define ALL_LANES 0xffffffffu

// 16-bit floats, as bits. Arithmetic runs in f32.
struct f16 {
    u16 bits;
};
struct bf16 {
    u16 bits;
};
struct alignas(8) Bytes8 {
    u32 x, y;
};
struct alignas(16) Bytes16 {
    u32 x, y, z, w;
};

#ifdef COLDSTART_ON_HOST
// Global<T>, the CUDA built-ins that kernels use, dynamic_shared, and the instructions declared below.
#include "on_host.h"

__device__ inline void store_16(Global<Bytes16> to, Bytes16 x) { *to = x; }
__device__ inline float exp2_approximate(float x) { return exp2f(x); }
__device__ inline u32 pack_f16(float low, float high) { return f32_to_f16(low) | u32(f32_to_f16(high)) << 16; }
__device__ inline u32 pack_bf16(float low, float high) { return f32_to_bf16(low) | u32(f32_to_bf16(high)) << 16; }
#else

// A place in device memory. `Global<const T>` is only read.
template <class T>
using Global = T*;

// The memory that the launch asked for beyond `__shared__` arrays; aligned to 16 bytes.
template <class T>
__device__ inline T* dynamic_shared() {
    extern __shared__ Bytes16 coldstart_dynamic_shared[];
    return reinterpret_cast<T*>(coldstart_dynamic_shared);
}

// Another view of the same place: 16-byte loads and stores of a row.
template <class U, class T>
__device__ inline U* view_as(T* place) {
    return reinterpret_cast<U*>(place);
}

__device__ inline float f16_to_f32(u16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}
__device__ inline u16 f32_to_f16(float x) {
    u16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}
__device__ inline float bf16_to_f32(u16 x) { return __uint_as_float(u32(x) << 16); }
// Rounds to nearest even; NaN stays NaN.
__device__ inline u16 f32_to_bf16(float x) {
    u16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}

// *to = x in one instruction, whatever the compiler would make of the parts.
__device__ inline void store_16(Global<Bytes16> to, Bytes16 x) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
                 :
                 : "l"(__cvta_generic_to_global(to)), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w)
                 : "memory");
}

// 2ˣ within two units in the last place; what would be subnormal is 0.
__device__ inline float exp2_approximate(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
// Two numbers, each rounded as above, in one word.
__device__ inline u32 pack_f16(float low, float high) {
    u32 y;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
__device__ inline u32 pack_bf16(float low, float high) {
    u32 y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

// d += a·b on tensor cores, one warp: a is 16 × 16 row-major, b is 16 × 8 column-major, d is 16 × 8 in f32. Who holds
// what: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".
__device__ inline void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 × 8 matrices of 16-bit numbers from shared memory into the fragments of a warp; lane l gives the address of
// row l % 8 of matrix l / 8, 16 bytes aligned to 16.
__device__ inline void load_matrices(u32 (&r)[4], const void* row) {
    u32 address = static_cast<u32>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}
// The same, each matrix transposed on the way.
__device__ inline void load_matrices_transposed(u32 (&r)[4], const void* row) {
    u32 address = static_cast<u32>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// Starts a copy of 16 bytes into shared memory (both aligned to 16); of the source only `bytes` (0..=16) are read, the
// rest becomes zero. With 0 bytes the source may be anywhere.
__device__ inline void copy_async(void* shared, Global<const char> source, int bytes) {
    u32 address = static_cast<u32>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(address), "l"(source), "r"(bytes) : "memory");
}
// What this thread started since the last commit becomes a group.
__device__ inline void copy_async_commit() { asm volatile("cp.async.commit_group;" : : : "memory"); }
// Waits until at most `Pending` of this thread's groups are under way. Others see the bytes after a __syncthreads.
template <int Pending>
__device__ inline void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" : : "n"(Pending) : "memory");
}

// A read that no cache holds back and no compiler moves: for flags that the host sets.
__device__ inline u32 load_volatile(Global<const u32> place) { return *static_cast<const volatile u32*>(place); }
// Nanoseconds of the device's own clock.
__device__ inline u64 device_clock() {
    u64 now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    return now;
}
// A pause of about so many nanoseconds.
__device__ inline void pause(u32 ns) { asm volatile("nanosleep.u32 %0;" : : "r"(ns)); }
#endif

__device__ inline float to_f32(float x) { return x; }
__device__ inline float to_f32(f16 x) { return f16_to_f32(x.bits); }
__device__ inline float to_f32(bf16 x) { return bf16_to_f32(x.bits); }

template <class T>
__device__ inline T from_f32(float x);
template <>
__device__ inline float from_f32<float>(float x) {
    return x;
}
template <>
__device__ inline f16 from_f32<f16>(float x) {
    return f16{f32_to_f16(x)};
}
template <>
__device__ inline bf16 from_f32<bf16>(float x) {
    return bf16{f32_to_bf16(x)};
}

// d += a·b by the instruction for T.
template <class T>
__device__ inline void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]);
template <>
__device__ inline void mma<f16>(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    mma_f16(d, a, b);
}
template <>
__device__ inline void mma<bf16>(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    mma_bf16(d, a, b);
}

// Two numbers as T in one word, `low` in its lower half.
template <class T>
__device__ inline u32 pack(float low, float high);
template <>
__device__ inline u32 pack<f16>(float low, float high) {
    return pack_f16(low, high);
}
template <>
__device__ inline u32 pack<bf16>(float low, float high) {
    return pack_bf16(low, high);
}

// A row-major matrix in device memory, `stride` elements from row to row. The launcher passes it as one parameter.
template <class T>
struct Matrix {
    Global<T> data;
    int rows;
    int cols;
    i64 stride;

    __device__ Global<T> row(i64 r) const { return data + r * stride; }
};

// The formats as numbers, for operands whose format is known when the kernel runs: the order of `Dtype::ALL`.
#define DTYPE_F32 0
#define DTYPE_F16 1
#define DTYPE_BF16 2

// Element i of a row whose format is only known when the kernel runs; `place` is its first byte.
__device__ inline float load_as(Global<const char> place, int dtype, i64 i) {
    if (dtype == DTYPE_F32) return view_as<const float>(place)[i];
    if (dtype == DTYPE_F16) return to_f32(view_as<const f16>(place)[i]);
    return to_f32(view_as<const bf16>(place)[i]);
}
__device__ inline void store_as(Global<char> place, int dtype, i64 i, float x) {
    if (dtype == DTYPE_F32)
        view_as<float>(place)[i] = x;
    else if (dtype == DTYPE_F16)
        view_as<f16>(place)[i] = from_f32<f16>(x);
    else
        view_as<bf16>(place)[i] = from_f32<bf16>(x);
}

__device__ inline int size_of(int dtype) { return dtype == DTYPE_F32 ? 4 : 2; }

// A matrix whose format is only known when the kernel runs; `stride` counts elements.
struct AnyMatrix {
    Global<const char> data;
    int rows;
    int cols;
    i64 stride;
    int dtype;

    __device__ float at(i64 r, i64 c) const { return load_as(data, dtype, r * stride + c); }
    __device__ Global<const char> row(i64 r) const { return data + r * stride * size_of(dtype); }
};
struct AnyMatrixMut {
    Global<char> data;
    int rows;
    int cols;
    i64 stride;
    int dtype;

    __device__ void set(i64 r, i64 c, float x) const { store_as(data, dtype, r * stride + c, x); }
    __device__ Global<char> row(i64 r) const { return data + r * stride * size_of(dtype); }
};

// What a thread takes of a row at a time: eight neighbouring numbers, 16 bytes in the 16-bit formats, where every row and
// every piece of one begins at a multiple of 16 bytes, else one. Kernels are written for both, as `N`.
#define PACK 8

// N neighbouring numbers in f32.
template <class T, int N>
__device__ inline void load_pack(Global<const T> from, float (&x)[N]) {
    if constexpr (N == 1) {
        x[0] = to_f32(*from);
    } else if constexpr (sizeof(T) == 4) {
        Global<const Bytes16> place = view_as<const Bytes16>(from);
        Bytes16 low = place[0], high = place[1];
        x[0] = __uint_as_float(low.x), x[1] = __uint_as_float(low.y);
        x[2] = __uint_as_float(low.z), x[3] = __uint_as_float(low.w);
        x[4] = __uint_as_float(high.x), x[5] = __uint_as_float(high.y);
        x[6] = __uint_as_float(high.z), x[7] = __uint_as_float(high.w);
    } else {
        Bytes16 all = *view_as<const Bytes16>(from);
        x[0] = to_f32(T{u16(all.x)}), x[1] = to_f32(T{u16(all.x >> 16)});
        x[2] = to_f32(T{u16(all.y)}), x[3] = to_f32(T{u16(all.y >> 16)});
        x[4] = to_f32(T{u16(all.z)}), x[5] = to_f32(T{u16(all.z >> 16)});
        x[6] = to_f32(T{u16(all.w)}), x[7] = to_f32(T{u16(all.w >> 16)});
    }
}
// Rounds them to T and stores them.
template <class T, int N>
__device__ inline void store_pack(Global<T> to, const float (&x)[N]) {
    if constexpr (N == 1) {
        *to = from_f32<T>(x[0]);
    } else if constexpr (sizeof(T) == 4) {
        Global<Bytes16> place = view_as<Bytes16>(to);
        store_16(place, Bytes16{__float_as_uint(x[0]), __float_as_uint(x[1]), __float_as_uint(x[2]), __float_as_uint(x[3])});
        store_16(place + 1,
                 Bytes16{__float_as_uint(x[4]), __float_as_uint(x[5]), __float_as_uint(x[6]), __float_as_uint(x[7])});
    } else {
        store_16(view_as<Bytes16>(to),
                 Bytes16{pack<T>(x[0], x[1]), pack<T>(x[2], x[3]), pack<T>(x[4], x[5]), pack<T>(x[6], x[7])});
    }
}

// The same from column `col` on of a row whose format is only known when the kernel runs.
template <int N>
__device__ inline void load_any_pack(Global<const char> row, int dtype, i64 col, float (&x)[N]) {
    if (dtype == DTYPE_F32)
        load_pack<float, N>(view_as<const float>(row) + col, x);
    else if (dtype == DTYPE_F16)
        load_pack<f16, N>(view_as<const f16>(row) + col, x);
    else
        load_pack<bf16, N>(view_as<const bf16>(row) + col, x);
}
template <int N>
__device__ inline void store_any_pack(Global<char> row, int dtype, i64 col, const float (&x)[N]) {
    if (dtype == DTYPE_F32)
        store_pack<float, N>(view_as<float>(row) + col, x);
    else if (dtype == DTYPE_F16)
        store_pack<f16, N>(view_as<f16>(row) + col, x);
    else
        store_pack<bf16, N>(view_as<bf16>(row) + col, x);
}

// Calls `f(row, col)` once for each N columns of each row. A block takes `blockDim.y` rows of N·`blockDim.x` columns at a
// time, any number of blocks shares them out.
template <int N, class F>
__device__ inline void each_pack(i64 rows, i64 cols, F f) {
    i64 packs = cols / N, pieces = (packs + blockDim.x - 1) / blockDim.x;
    i64 tasks = (rows + blockDim.y - 1) / blockDim.y * pieces;
    for (i64 task = blockIdx.x; task < tasks; task += gridDim.x) {
        i64 row = task / pieces * blockDim.y + threadIdx.y;
        i64 pack = task % pieces * blockDim.x + threadIdx.x;
        if (row < rows && pack < packs) f(row, pack * N);
    }
}

__device__ inline float warp_sum(float x) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(ALL_LANES, x, mask);
    return x;
}
__device__ inline float warp_max(float x) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, mask));
    return x;
}

// The sum over all threads of a block of whole warps, in every thread. `scratch` is shared memory for one float a warp.
__device__ inline float block_sum(float x, float* scratch) {
    x = warp_sum(x);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    __syncthreads();
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    x = warp_sum(lane < warps ? scratch[lane] : 0.0f);
    return x;
}
