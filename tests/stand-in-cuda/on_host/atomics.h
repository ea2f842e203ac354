// Atomic operations on device memory (`Global`, checked) and on shared memory; blocks run on several OS threads.
#pragma once
#include "builtins.h"

// Replaces *place by f(*place), returns what was there.
template <class T, class F>
inline T on_host_update(T* place, F f) {
    using Bits = std::conditional_t<sizeof(T) == 4, unsigned, unsigned long long>;
    static_assert(sizeof(T) == sizeof(Bits), "atomics are 4 or 8 bytes wide");
    Bits* bits = reinterpret_cast<Bits*>(place);
    Bits before = __atomic_load_n(bits, __ATOMIC_SEQ_CST);
    while (!__atomic_compare_exchange_n(bits, &before, on_host_bits<Bits>(f(on_host_bits<T>(before))), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    return on_host_bits<T>(before);
}

#define ON_HOST_ATOMIC(name, expression)                                       \
    template <class T>                                                         \
    inline T name(T* place, std::common_type_t<T> v) {                         \
        return on_host_update(place, [v](T x) -> T { return (expression); });  \
    }                                                                          \
    template <class T>                                                         \
    inline T name(Global<T> place, std::common_type_t<T> v) {                  \
        return name(&*place, v);                                               \
    }
ON_HOST_ATOMIC(atomicAdd, x + v)
ON_HOST_ATOMIC(atomicSub, x - v)
ON_HOST_ATOMIC(atomicMin, v < x ? v : x)
ON_HOST_ATOMIC(atomicMax, x < v ? v : x)
ON_HOST_ATOMIC(atomicAnd, x& v)
ON_HOST_ATOMIC(atomicOr, x | v)
ON_HOST_ATOMIC(atomicXor, x ^ v)
ON_HOST_ATOMIC(atomicExch, (static_cast<void>(x), v))
ON_HOST_ATOMIC(atomicInc, x >= v ? 0 : x + 1)
ON_HOST_ATOMIC(atomicDec, x == 0 || x > v ? v : x - 1)
#undef ON_HOST_ATOMIC

template <class T>
inline T atomicCAS(T* place, std::common_type_t<T> expected, std::common_type_t<T> desired) {
    return on_host_update(place, [=](T x) { return x == expected ? desired : x; });
}
template <class T>
inline T atomicCAS(Global<T> place, std::common_type_t<T> expected, std::common_type_t<T> desired) {
    return atomicCAS(&*place, expected, desired);
}
