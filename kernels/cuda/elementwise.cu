// Operations that treat every number by itself. Rows and columns are given as numbers, not as a matrix: where no operand
// has gaps between its rows, the launcher makes one long row of them.
#include "prelude.cuh"

// y += x
template <class T, int N>
__device__ inline void add(Global<const T> x, i64 x_stride, Global<T> y, i64 y_stride, i64 rows, i64 cols) {
    each_pack<N>(rows, cols, [&](i64 row, i64 col) {
        float a[N], b[N];
        load_pack<T, N>(x + row * x_stride + col, a);
        load_pack<T, N>(y + row * y_stride + col, b);
#pragma unroll
        for (int i = 0; i < N; i++) b[i] += a[i];
        store_pack<T, N>(y + row * y_stride + col, b);
    });
}
#define ADD(NAME, T)                                                                                      \
    extern "C" __global__ void NAME(Global<const T> x, i64 x_stride, Global<T> y, i64 y_stride, i64 rows, \
                                    i64 cols, int wide) {                                                 \
        if (wide)                                                                                         \
            add<T, PACK>(x, x_stride, y, y_stride, rows, cols);                                           \
        else                                                                                              \
            add<T, 1>(x, x_stride, y, y_stride, rows, cols);                                              \
    }
ADD(add_f32, float)
ADD(add_f16, f16)
ADD(add_bf16, bf16)

__device__ inline float silu(float x) { return x / (1.0f + expf(-x)); }

// y = silu(gate)·up
template <class T, int N>
__device__ inline void silu_mul(Global<const T> gate, i64 gate_stride, Global<const T> up, i64 up_stride, Global<T> y,
                                i64 y_stride, i64 rows, i64 cols) {
    each_pack<N>(rows, cols, [&](i64 row, i64 col) {
        float g[N], u[N];
        load_pack<T, N>(gate + row * gate_stride + col, g);
        load_pack<T, N>(up + row * up_stride + col, u);
#pragma unroll
        for (int i = 0; i < N; i++) u[i] *= silu(g[i]);
        store_pack<T, N>(y + row * y_stride + col, u);
    });
}
#define SILU_MUL(NAME, T)                                                                                     \
    extern "C" __global__ void NAME(Global<const T> gate, i64 gate_stride, Global<const T> up, i64 up_stride, \
                                    Global<T> y, i64 y_stride, i64 rows, i64 cols, int wide) {                \
        if (wide)                                                                                             \
            silu_mul<T, PACK>(gate, gate_stride, up, up_stride, y, y_stride, rows, cols);                     \
        else                                                                                                  \
            silu_mul<T, 1>(gate, gate_stride, up, up_stride, y, y_stride, rows, cols);                        \
    }
SILU_MUL(silu_mul_f32, float)
SILU_MUL(silu_mul_f16, f16)
SILU_MUL(silu_mul_bf16, bf16)

// The order of `Activation`.
#define GELU_ERF 0
#define GELU_TANH 1
#define SILU 2
#define RELU 3

// Each function stands once in the code, for so many numbers of a pack.
#define AT_ONCE 4

template <int COUNT, int N>
__device__ inline void activate_first(int activation, float (&x)[N]) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        float v = x[i];
        if (activation == GELU_ERF)
            v = 0.5f * v * (1.0f + erff(v * 0.70710678f));
        else if (activation == GELU_TANH)
            v = 0.5f * v * (1.0f + tanhf(0.79788456f * (v + 0.044715f * v * v * v)));
        else if (activation == SILU)
            v = silu(v);
        else if (activation == RELU)
            v = v < 0.0f ? 0.0f : v;
        else
            v = tanhf(v);
        x[i] = v;
    }
}

// x = activation(x)
template <class T, int N>
__device__ inline void activate(Global<T> x, i64 stride, i64 rows, i64 cols, int activation) {
    each_pack<N>(rows, cols, [&](i64 row, i64 col) {
        float v[N];
        load_pack<T, N>(x + row * stride + col, v);
        if constexpr (N == 1) {
            activate_first<1>(activation, v);
        } else {
            static_assert(N == 2 * AT_ONCE, "two halves");
#pragma unroll 1
            for (int half = 0; half < 2; half++) {
                activate_first<AT_ONCE>(activation, v);
#pragma unroll
                for (int i = 0; i < AT_ONCE; i++) {
                    float kept = v[i];
                    v[i] = v[i + AT_ONCE];
                    v[i + AT_ONCE] = kept;
                }
            }
        }
        store_pack<T, N>(x + row * stride + col, v);
    });
}
#define ACTIVATE(NAME, T)                                                                                    \
    extern "C" __global__ void NAME(Global<T> x, i64 stride, i64 rows, i64 cols, int activation, int wide) { \
        if (wide)                                                                                            \
            activate<T, PACK>(x, stride, rows, cols, activation);                                            \
        else                                                                                                 \
            activate<T, 1>(x, stride, rows, cols, activation);                                               \
    }
ACTIVATE(activate_f32, float)
ACTIVATE(activate_f16, f16)
ACTIVATE(activate_bf16, bf16)

template <int N>
__device__ inline void convert_packs(Global<const char> x, int x_dtype, i64 x_stride, Global<char> y, int y_dtype,
                                     i64 y_stride, i64 rows, i64 cols) {
    each_pack<N>(rows, cols, [&](i64 row, i64 col) {
        float v[N];
        load_any_pack<N>(x + row * x_stride * size_of(x_dtype), x_dtype, col, v);
        store_any_pack<N>(y + row * y_stride * size_of(y_dtype), y_dtype, col, v);
    });
}
// y = x in the format of y.
extern "C" __global__ void convert(Global<const char> x, int x_dtype, i64 x_stride, Global<char> y, int y_dtype,
                                   i64 y_stride, i64 rows, i64 cols, int wide) {
    if (wide)
        convert_packs<PACK>(x, x_dtype, x_stride, y, y_dtype, y_stride, rows, cols);
    else
        convert_packs<1>(x, x_dtype, x_stride, y, y_dtype, y_stride, rows, cols);
}

#define KEY_STEP 0x9E3779B97F4A7C15ull

template <int N>
__device__ inline void fill_packs(Global<char> y, int dtype, i64 stride, i64 rows, i64 cols, u64 seed, float bound) {
    each_pack<N>(rows, cols, [&](i64 row, i64 col) {
        float v[N];
        u64 state = seed + u64(row * cols + col) * KEY_STEP;
#pragma unroll
        for (int i = 0; i < N; i++) {
            state += KEY_STEP;
            u64 z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9ull;
            z = (z ^ z >> 27) * 0x94D049BB133111EBull;
            z ^= z >> 31;
            // Exact up to the last product.
            v[i] = (2.0f * (float(u32(z >> 40)) / 16777216.0f) - 1.0f) * bound;
        }
        store_any_pack<N>(y + row * stride * size_of(dtype), dtype, col, v);
    });
}
// y = the uniform numbers of `seed`, see `checksum::uniform`: number row·columns + column.
extern "C" __global__ void fill_uniform(Global<char> y, int dtype, i64 stride, i64 rows, i64 cols, u64 seed, float bound,
                                        int wide) {
    if (wide)
        fill_packs<PACK>(y, dtype, stride, rows, cols, seed, bound);
    else
        fill_packs<1>(y, dtype, stride, rows, cols, seed, bound);
}
