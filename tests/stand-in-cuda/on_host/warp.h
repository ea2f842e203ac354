// What the lanes of a warp do together. Lanes that are named and never come (exited, at a barrier, in another operation)
// are reported.
#pragma once
#include "atomics.h"

inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE()) {
    on_host::meet(mask, "__syncwarp", line, nullptr, [](void**, unsigned) {});
}
inline unsigned __activemask() { return 0xffffffffu; }

template <class T>
struct OnHostShuffle {
    T value;
    int source;
    T result;

    static void all(void** lanes, unsigned mask) {
        for (int i = 0; i < 32; i++) {
            if (!(mask >> i & 1)) continue;
            auto* mine = static_cast<OnHostShuffle*>(lanes[i]);
            if (!(mask >> mine->source & 1))
                on_host::fail(719, "a shuffle: lane %d reads lane %d, which the mask %#x does not name", i, mine->source, mask);
            mine->result = static_cast<OnHostShuffle*>(lanes[mine->source])->value;
        }
    }
    static T run(unsigned mask, T value, int source, const char* what, int line) {
        OnHostShuffle mine{value, source, value};
        on_host::meet(mask, what, line, &mine, all);
        return mine.result;
    }
};
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, int line = __builtin_LINE()) {
    int lane = static_cast<int>(on_host::lane());
    return OnHostShuffle<T>::run(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), "__shfl_sync", line);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, int line = __builtin_LINE()) {
    int lane = static_cast<int>(on_host::lane());
    int source = lane ^ bits, end = (lane & ~(width - 1)) + width;
    return OnHostShuffle<T>::run(mask, value, source < end && source < 32 ? source : lane, "__shfl_xor_sync", line);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE()) {
    int lane = static_cast<int>(on_host::lane());
    int source = lane - static_cast<int>(delta);
    return OnHostShuffle<T>::run(mask, value, source < (lane & ~(width - 1)) ? lane : source, "__shfl_up_sync", line);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE()) {
    int lane = static_cast<int>(on_host::lane());
    int source = lane + static_cast<int>(delta), end = (lane & ~(width - 1)) + width;
    return OnHostShuffle<T>::run(mask, value, source >= end ? lane : source, "__shfl_down_sync", line);
}

struct OnHostVote {
    bool predicate;
    unsigned result;

    static void all(void** lanes, unsigned mask) {
        unsigned votes = 0;
        for (int i = 0; i < 32; i++)
            if (mask >> i & 1) votes |= static_cast<unsigned>(static_cast<OnHostVote*>(lanes[i])->predicate) << i;
        for (int i = 0; i < 32; i++)
            if (mask >> i & 1) static_cast<OnHostVote*>(lanes[i])->result = votes;
    }
};
inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    OnHostVote mine{predicate != 0, 0};
    on_host::meet(mask, "__ballot_sync", line, &mine, OnHostVote::all);
    return mine.result;
}
inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, line) == mask;
}

template <class T>
struct OnHostReduction {
    T value;
    T (*combine)(T, T);

    static void all(void** lanes, unsigned mask) {
        bool first = true;
        T total{};
        for (int i = 0; i < 32; i++) {
            if (!(mask >> i & 1)) continue;
            auto* mine = static_cast<OnHostReduction*>(lanes[i]);
            total = first ? mine->value : mine->combine(total, mine->value);
            first = false;
        }
        for (int i = 0; i < 32; i++)
            if (mask >> i & 1) static_cast<OnHostReduction*>(lanes[i])->value = total;
    }
    static T run(unsigned mask, T value, T (*combine)(T, T), const char* what, int line) {
        OnHostReduction mine{value, combine};
        on_host::meet(mask, what, line, &mine, all);
        return mine.value;
    }
};
#define ON_HOST_REDUCE(name, T, expression)                                                                 \
    inline T name(unsigned mask, T value, int line = __builtin_LINE()) {                                    \
        return OnHostReduction<T>::run(mask, value, [](T x, T y) -> T { return expression; }, #name, line); \
    }
ON_HOST_REDUCE(__reduce_add_sync, unsigned, x + y)
ON_HOST_REDUCE(__reduce_min_sync, unsigned, x < y ? x : y)
ON_HOST_REDUCE(__reduce_max_sync, unsigned, x > y ? x : y)
ON_HOST_REDUCE(__reduce_min_sync, int, x < y ? x : y)
ON_HOST_REDUCE(__reduce_max_sync, int, x > y ? x : y)
ON_HOST_REDUCE(__reduce_and_sync, unsigned, x& y)
ON_HOST_REDUCE(__reduce_or_sync, unsigned, x | y)
ON_HOST_REDUCE(__reduce_xor_sync, unsigned, x ^ y)
#undef ON_HOST_REDUCE
