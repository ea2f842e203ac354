// Bytes in device memory, whatever they mean: patterns, checksums, numbers that move on, and a gate for a stream.
#include "prelude.cuh"

// Adds `by` to each number, wrapping.
extern "C" __global__ void advance(Global<u32> x, i64 count, u32 by) {
    i64 threads = i64(gridDim.x) * blockDim.x;
    for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += threads) x[i] += by;
}

#define KEY_STEP 0x9E3779B97F4A7C15ull

// What a word contributes to a checksum; see `checksum::mix`.
__device__ inline u64 mix(u64 word, u64 index) {
    u64 t = word ^ (index + 1) * KEY_STEP;
    return u64(u32(t)) * u32(t >> 32) + t;
}

// Word `index` of a pattern; see `checksum::pattern`.
__device__ inline u64 pattern(u64 seed, u64 index) {
    u64 z = seed + (index + 1) * KEY_STEP;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

// A range of bytes that begins anywhere. `words` of 8 bytes are counted from its begin, the last may be cut. Memory is read and
// written in units of 16 bytes at multiples of 16, the first of which is `head` bytes behind the begin; a word may lie
// across two halves of them. What no unit covers, at both ends, is done byte by byte.
struct Stretch {
    Global<const char> begin;
    i64 bytes;
    int head;

    // Where in a word a unit begins.
    __device__ int phase() const { return head % 8; }
    // Units that lie in the range with all that `read_words` reads for their words.
    __device__ i64 readable() const { return units(phase() == 0 ? 0 : 8); }
    __device__ i64 units(int behind) const {
        i64 room = bytes - head - behind;
        return room > 0 ? room / 16 : 0;
    }
    __device__ i64 words() const { return (bytes + 7) / 8; }
    // The first of the words that units cover: unit p has words first_word() + 2·p and the next.
    __device__ i64 first_word() const { return head / 8 + (phase() != 0); }
    __device__ Global<const char> unit(i64 p) const { return begin + head + p * 16; }

    // A word byte by byte; what lies past the end is 0.
    __device__ u64 slow_word(i64 index) const {
        u64 word = 0;
        for (int i = 0; i < 8 && index * 8 + i < bytes; i++)
            word |= u64(u32(static_cast<unsigned char>(begin[index * 8 + i]))) << 8 * i;
        return word;
    }
};

__device__ inline u64 whole(u32 low, u32 high) { return u64(high) << 32 | low; }

// The two words that begin in unit p.
template <bool Shifted>
__device__ inline void read_words(const Stretch& s, i64 p, u64& a, u64& b) {
    Bytes16 unit = *view_as<const Bytes16>(s.unit(p));
    a = whole(unit.x, unit.y);
    b = whole(unit.z, unit.w);
    if constexpr (Shifted) {
        u64 next = *view_as<const u64>(s.unit(p) + 16);
        int left = 8 * s.phase(), right = 64 - left;
        a = a >> right | b << left;
        b = b >> right | next << left;
    }
}

// Calls `f(word, index)` for every word, on all threads of the grid.
template <bool Shifted, class F>
__device__ inline void each_unit(const Stretch& s, F f) {
    i64 units = s.readable(), first = s.first_word(), threads = i64(gridDim.x) * blockDim.x;
#pragma unroll 4
    for (i64 p = i64(blockIdx.x) * blockDim.x + threadIdx.x; p < units; p += threads) {
        u64 a, b;
        read_words<Shifted>(s, p, a, b);
        f(a, first + 2 * p);
        f(b, first + 2 * p + 1);
    }
}
template <class F>
__device__ inline void each_word(const Stretch& s, F f) {
    if (s.phase() == 0)
        each_unit<false>(s, f);
    else
        each_unit<true>(s, f);
    // At most 2 words before the units and 5 behind them.
    i64 covered = 2 * s.readable(), rest = s.words() - covered;
    if (blockIdx.x == 0 && threadIdx.x < rest) {
        i64 index = threadIdx.x < s.first_word() ? i64(threadIdx.x) : threadIdx.x + covered;
        f(s.slow_word(index), index);
    }
}

template <class F>
__device__ inline u64 warp_reduce(u64 x, F both) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) x = both(x, __shfl_xor_sync(ALL_LANES, x, mask));
    return x;
}
// All threads' numbers together, in the first warp. `scratch` is shared memory for one number a warp.
template <class F>
__device__ inline u64 block_reduce(u64 x, u64 none, u64* scratch, F both) {
    x = warp_reduce(x, both);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    return warp_reduce(lane < warps ? scratch[lane] : none, both);
}

// Adds the checksum of a range to *sum.
extern "C" __global__ void checksum(Global<const char> begin, i64 bytes, int head, Global<u64> sum) {
    __shared__ u64 scratch[WARP];
    u64 mine = 0;
    each_word(Stretch{begin, bytes, head}, [&](u64 word, i64 index) { mine += mix(word, index); });
    mine = block_reduce(mine, 0, scratch, [](u64 a, u64 b) { return a + b; });
    if (threadIdx.x == 0) atomicAdd(sum, mine);
}

// Compares a range with the pattern of `seed`: found[0] becomes the least of itself and the offset of the first wrong byte,
// found[1] grows by the number of wrong words.
extern "C" __global__ void verify_pattern(Global<const char> begin, i64 bytes, int head, u64 seed, Global<u64> found) {
    __shared__ u64 firsts[WARP], counts[WARP];
    u64 first = ~0ull, count = 0;
    each_word(Stretch{begin, bytes, head}, [&](u64 word, i64 index) {
        u64 wrong = word ^ pattern(seed, index);
        i64 left = bytes - index * 8;
        if (left < 8) wrong &= (1ull << 8 * left) - 1;
        if (wrong == 0) return;
        u64 at = index * 8 + (__ffsll(i64(wrong)) - 1) / 8;
        first = at < first ? at : first;
        count++;
    });
    first = block_reduce(first, ~0ull, firsts, [](u64 a, u64 b) { return a < b ? a : b; });
    count = block_reduce(count, 0, counts, [](u64 a, u64 b) { return a + b; });
    if (threadIdx.x == 0 && count > 0) {
        atomicMin(found, first);
        atomicAdd(found + 1, count);
    }
}

// Fills a range with the pattern of `seed`.
extern "C" __global__ void fill_pattern(Global<char> begin, i64 bytes, int head, u64 seed) {
    Stretch s{begin, bytes, head};
    i64 units = s.units(0), threads = i64(gridDim.x) * blockDim.x;
    int shift = 8 * s.phase();
    for (i64 p = i64(blockIdx.x) * blockDim.x + threadIdx.x; p < units; p += threads) {
        i64 index = head / 8 + 2 * p;
        u64 a = pattern(seed, index), b = pattern(seed, index + 1);
        if (shift != 0) {
            u64 c = pattern(seed, index + 2);
            a = a >> shift | b << (64 - shift);
            b = b >> shift | c << (64 - shift);
        }
        *view_as<Bytes16>(begin + head + p * 16) = Bytes16{u32(a), u32(a >> 32), u32(b), u32(b >> 32)};
    }
    // At most 15 bytes before the units and 15 behind them.
    i64 covered = units * 16, rest = bytes - covered;
    if (blockIdx.x == 0 && threadIdx.x < rest) {
        i64 at = threadIdx.x < head ? i64(threadIdx.x) : threadIdx.x + covered;
        begin[at] = static_cast<char>(pattern(seed, at / 8) >> 8 * (at % 8));
    }
}

// Holds the stream back until the host sets *flag, `timeout` nanoseconds at most. One thread.
extern "C" __global__ void block_until(Global<const u32> flag, u64 timeout) {
    u64 begin = device_clock();
    while (load_volatile(flag) == 0 && device_clock() - begin < timeout) pause(500);
}
