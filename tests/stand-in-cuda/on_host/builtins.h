// The CUDA built-ins that kernels use, other than those that make lanes meet.
#pragma once
#include "global.h"

#define threadIdx (on_host::state->thread)
#define blockIdx (on_host::state->block)
#define blockDim (on_host::state->block_size)
#define gridDim (on_host::state->grid_size)
#define warpSize 32

// The attribute also marks kernels for the tool that lists them.
#define __global__ __attribute__((used, noinline))
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#undef __noinline__
#define __noinline__ __attribute__((noinline))
#define __shared__ static thread_local
#define __constant__ static
#define __launch_bounds__(...)
// The compiler of the host takes no `alignas` behind `__shared__`.
#define alignas(n) __attribute__((aligned(n)))
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
#undef __restrict__
#define __restrict__

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// Barriers name their line, so that threads that wait at different ones are noticed.
inline void __syncthreads(int line = __builtin_LINE()) { on_host::barrier(line); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __nanosleep(unsigned) { on_host::give_way(); }
[[noreturn]] inline void __trap() { on_host::fail(719, "__trap()"); }

// ---- numbers
template <class To, class From>
inline To on_host_bits(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}
inline float __uint_as_float(unsigned x) { return on_host_bits<float>(x); }
inline unsigned __float_as_uint(float x) { return on_host_bits<unsigned>(x); }
inline float __int_as_float(int x) { return on_host_bits<float>(x); }
inline int __float_as_int(float x) { return on_host_bits<int>(x); }
inline long long __double_as_longlong(double x) { return on_host_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return on_host_bits<double>(x); }

template <class A, class B, class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
inline std::common_type_t<A, B> min(A a, B b) {
    using C = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<C>) return std::fmin(C(a), C(b));
    return C(a) < C(b) ? C(a) : C(b);
}
template <class A, class B, class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
inline std::common_type_t<A, B> max(A a, B b) {
    using C = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<C>) return std::fmax(C(a), C(b));
    return C(a) > C(b) ? C(a) : C(b);
}
inline int umin(unsigned a, unsigned b) { return a < b ? a : b; }
inline int umax(unsigned a, unsigned b) { return a > b ? a : b; }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __frsqrt_rn(float x) { return 1.0f / sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline void __sincosf(float x, float* s, float* c) { sincosf(x, s, c); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
using std::isfinite;
using std::isinf;
using std::isnan;

// Conversions saturate, and NaN becomes 0, as cvt does.
template <class I>
inline I on_host_to_integer(double x) {
    if (x != x) return 0;
    double low = static_cast<double>(std::numeric_limits<I>::min());
    double high = static_cast<double>(std::numeric_limits<I>::max());
    if (x <= low) return std::numeric_limits<I>::min();
    if (x >= high) return std::numeric_limits<I>::max();
    return static_cast<I>(x);
}
inline int __float2int_rn(float x) { return on_host_to_integer<int>(nearbyint(double(x))); }
inline int __float2int_rz(float x) { return on_host_to_integer<int>(trunc(double(x))); }
inline int __float2int_rd(float x) { return on_host_to_integer<int>(floor(double(x))); }
inline int __float2int_ru(float x) { return on_host_to_integer<int>(ceil(double(x))); }
inline unsigned __float2uint_rn(float x) { return on_host_to_integer<unsigned>(nearbyint(double(x))); }
inline unsigned __float2uint_rz(float x) { return on_host_to_integer<unsigned>(trunc(double(x))); }
inline long long __float2ll_rn(float x) { return on_host_to_integer<long long>(nearbyint(double(x))); }
inline unsigned long long __float2ull_rn(float x) { return on_host_to_integer<unsigned long long>(nearbyint(double(x))); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __ll2float_rn(long long x) { return static_cast<float>(x); }
inline float __ull2float_rn(unsigned long long x) { return static_cast<float>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }
inline float __uint2float_rz(unsigned x) {
    float y = static_cast<float>(x);
    return double(y) > double(x) ? nextafterf(y, 0.0f) : y;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(unsigned x) { return x == 0 ? 32 : __builtin_clz(x); }
inline int __clzll(unsigned long long x) { return x == 0 ? 64 : __builtin_clzll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned y = 0;
    for (int i = 0; i < 32; i++) y |= ((x >> i) & 1u) << (31 - i);
    return y;
}
inline unsigned __umulhi(unsigned x, unsigned y) {
    return static_cast<unsigned>((static_cast<unsigned long long>(x) * y) >> 32);
}
inline int __mulhi(int x, int y) { return static_cast<int>((static_cast<long long>(x) * y) >> 32); }
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
    return static_cast<unsigned long long>((static_cast<unsigned __int128>(x) * y) >> 64);
}
inline int __mul24(int x, int y) {
    unsigned a = static_cast<unsigned>(x << 8 >> 8), b = static_cast<unsigned>(y << 8 >> 8);
    return static_cast<int>(a * b);
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
    unsigned long long both = static_cast<unsigned long long>(y) << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned selector = (s >> (4 * i)) & 0xf;
        unsigned byte = static_cast<unsigned>(both >> (8 * (selector & 7))) & 0xff;
        if (selector & 8) byte = byte & 0x80 ? 0xff : 0;
        result |= byte << (8 * i);
    }
    return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>((static_cast<unsigned long long>(high) << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>((static_cast<unsigned long long>(high) << 32 | low) >> (shift & 31));
}
