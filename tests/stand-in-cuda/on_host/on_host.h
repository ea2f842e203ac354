// What prelude.cuh includes where kernels are compiled for the CPU: blocks, threads, shared memory, barriers, warps, and the
// few PTX instructions that kernels use. Every access to device memory is checked. See ../README.md.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <limits>
#include <type_traits>
#include <utility>

#include "instructions.h"

// ---- the table of kernels: each library of kernels registers its own when it is loaded
namespace on_host {

// Thread-local storage of this library: whoever has its address can find the `__shared__` arrays.
inline __attribute__((visibility("hidden"))) void* anchor() {
    static thread_local char here;
    return &here;
}

template <class T>
struct Trampoline;
template <class... A>
struct Trampoline<void (*)(A...)> {
    static constexpr uint32_t sizes[sizeof...(A) + 1] = {static_cast<uint32_t>(sizeof(A))..., 0};

    template <void (*Kernel)(A...), size_t... I>
    static void unpack(void** parameters, std::index_sequence<I...>) {
        Kernel(*static_cast<A*>(parameters[I])...);
    }
    template <void (*Kernel)(A...)>
    static void call(void** parameters) {
        unpack<Kernel>(parameters, std::index_sequence_for<A...>());
    }
    template <void (*Kernel)(A...)>
    static void add(const char* name) {
        static_assert((std::is_trivially_copyable_v<A> && ...), "parameters are copied as bytes");
        add_kernel(OnHostKernel{name, call<Kernel>, sizes, static_cast<uint32_t>(sizeof...(A)), anchor});
    }
};

}  // namespace on_host

#define ON_HOST_KERNEL(name)                                                                     \
    namespace {                                                                                  \
    struct OnHostAdd_##name {                                                                    \
        OnHostAdd_##name() { on_host::Trampoline<decltype(&name)>::add<&name>(#name); }          \
    } on_host_add_##name;                                                                        \
    }
