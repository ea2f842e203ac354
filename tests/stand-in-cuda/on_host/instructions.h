// The PTX instructions that prelude.cuh declares, played exactly as the PTX ISA lays them out.
#pragma once
#include "warp.h"
#ifdef __F16C__
#include <immintrin.h>
#endif

inline float f16_to_f32(unsigned short x) {
#ifdef __F16C__
    return _cvtsh_ss(x);
#else
    unsigned sign = static_cast<unsigned>(x & 0x8000) << 16, exponent = x >> 10 & 0x1f, fraction = x & 0x3ff;
    if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) {
        float y = static_cast<float>(fraction) * 0x1p-24f;
        return sign ? -y : y;
    }
    return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
#endif
}
// Rounds to nearest even; every NaN becomes 0x7fff, as cvt does.
inline unsigned short f32_to_f16(float x) {
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
#ifdef __F16C__
    return _cvtss_sh(x, 0);
#else
    unsigned sign = bits >> 16 & 0x8000;
    float magnitude = __uint_as_float(bits & 0x7fffffffu);
    if (magnitude >= 65520.0f) return sign | 0x7c00;
    if (magnitude < 0x1p-14f) return sign | static_cast<unsigned short>(nearbyintf(magnitude * 0x1p24f));
    unsigned m = __float_as_uint(magnitude);
    m += 0xfff + (m >> 13 & 1);
    return sign | static_cast<unsigned short>((m >> 13) - (112 << 10));
#endif
}
inline float bf16_to_f32(unsigned short x) { return __uint_as_float(static_cast<unsigned>(x) << 16); }
inline unsigned short f32_to_bf16(float x) {
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// mma.m16n8k16: lane l holds rows l/4 and l/4 + 8 of a and d, column l/4 of b; PTX ISA, "Matrix Fragments for
// mma.m16n8k16 with floating point type".
template <float (*Convert)(unsigned short)>
struct OnHostMma {
    float* d;
    const unsigned* a;
    const unsigned* b;

    static void all(void** lanes, unsigned) {
        float a[16][16], b[16][8], d[16][8];
        for (int l = 0; l < 32; l++) {
            auto* lane = static_cast<OnHostMma*>(lanes[l]);
            int group = l / 4, pair = l % 4 * 2;
            for (int half = 0; half < 2; half++) {
                for (int r = 0; r < 4; r++)
                    a[group + r % 2 * 8][pair + half + r / 2 * 8] = Convert(static_cast<unsigned short>(lane->a[r] >> 16 * half));
                for (int r = 0; r < 2; r++)
                    b[pair + half + r * 8][group] = Convert(static_cast<unsigned short>(lane->b[r] >> 16 * half));
            }
            for (int r = 0; r < 4; r++) d[group + r / 2 * 8][pair + r % 2] = lane->d[r];
        }
        for (int m = 0; m < 16; m++)
            for (int k = 0; k < 16; k++)
                for (int n = 0; n < 8; n++) d[m][n] += a[m][k] * b[k][n];
        for (int l = 0; l < 32; l++) {
            auto* lane = static_cast<OnHostMma*>(lanes[l]);
            for (int r = 0; r < 4; r++) lane->d[r] = d[l / 4 + r / 2 * 8][l % 4 * 2 + r % 2];
        }
    }
};
inline void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int line = __builtin_LINE()) {
    OnHostMma<f16_to_f32> mine{d, a, b};
    on_host::meet(0xffffffffu, "mma_f16", line, &mine, OnHostMma<f16_to_f32>::all);
}
inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int line = __builtin_LINE()) {
    OnHostMma<bf16_to_f32> mine{d, a, b};
    on_host::meet(0xffffffffu, "mma_bf16", line, &mine, OnHostMma<bf16_to_f32>::all);
}

// ldmatrix: lane l names row l % 8 of matrix l / 8, and gets of each matrix elements 2·(l % 4) and the next of row l / 4.
struct OnHostLoadMatrices {
    unsigned* r;
    const void* row;
    bool transposed;

    static void all(void** lanes, unsigned) {
        for (int matrix = 0; matrix < 4; matrix++) {
            unsigned short m[8][8];
            for (int row = 0; row < 8; row++) {
                const void* from = static_cast<OnHostLoadMatrices*>(lanes[matrix * 8 + row])->row;
                if (reinterpret_cast<uintptr_t>(from) % 16 != 0)
                    on_host::fail(716, "load_matrices: row %d of matrix %d is at %p, not at a multiple of 16", row, matrix, from);
                memcpy(m[row], from, 16);
            }
            for (int l = 0; l < 32; l++) {
                auto* lane = static_cast<OnHostLoadMatrices*>(lanes[l]);
                int i = l / 4, j = l % 4 * 2;
                unsigned low = lane->transposed ? m[j][i] : m[i][j];
                unsigned high = lane->transposed ? m[j + 1][i] : m[i][j + 1];
                lane->r[matrix] = low | high << 16;
            }
        }
    }
};
inline void load_matrices(unsigned (&r)[4], const void* row, int line = __builtin_LINE()) {
    OnHostLoadMatrices mine{r, row, false};
    on_host::meet(0xffffffffu, "load_matrices", line, &mine, OnHostLoadMatrices::all);
}
inline void load_matrices_transposed(unsigned (&r)[4], const void* row, int line = __builtin_LINE()) {
    OnHostLoadMatrices mine{r, row, true};
    on_host::meet(0xffffffffu, "load_matrices_transposed", line, &mine, OnHostLoadMatrices::all);
}

// The bytes arrive at the wait; until then the destination holds poison.
inline void copy_async(void* shared, Global<const char> source, int bytes) {
    on_host::start_copy(shared, source.unchecked(), bytes);
}
inline void copy_async_commit() { on_host::commit_copies(); }
template <int Pending>
inline void copy_async_wait() {
    on_host::wait_copies(Pending);
}

inline unsigned load_volatile(Global<const unsigned> place) {
    const unsigned& value = *place;
    return *static_cast<const volatile unsigned*>(&value);
}
inline unsigned long long device_clock() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<unsigned long long>(now.tv_sec) * 1000000000ull + static_cast<unsigned long long>(now.tv_nsec);
}
inline long long clock64() { return static_cast<long long>(device_clock()); }
inline void pause(unsigned) { on_host::give_way(); }
