// What one OS thread knows of the block that it plays. Kernels reach it through one pointer in thread-local storage of the
// runtime's library; `__shared__` arrays are thread-local storage of the kernels' library.
#pragma once
#include "launch.h"

namespace on_host {

struct Index {
    unsigned x, y, z;
};

// A range that this OS thread touched lately.
struct Recent {
    uintptr_t base;
    uintptr_t size;
    uintptr_t low[2];   // [0] reads, [1] writes
    uintptr_t high[2];
    uint64_t id;
    uint64_t read_only;
};

constexpr int RECENT = 6;

// The part of an OS thread's state that inlined code uses.
struct State {
    Index thread;
    Index block;
    Index block_size;
    Index grid_size;
    Recent recent[RECENT];
    char* dynamic_shared;
};

extern __thread State* state __attribute__((tls_model("initial-exec"), visibility("default")));

#define ON_HOST_API __attribute__((visibility("default")))

// Each library of kernels adds its own to the table when it is loaded.
ON_HOST_API void add_kernel(const OnHostKernel& kernel);

// Gives up the launch: reports the first failure, never returns.
[[noreturn]] ON_HOST_API void fail(int code, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Finds the range of an access that is in none of the recent ones, or fails.
ON_HOST_API void find(uintptr_t address, uintptr_t bytes, bool write);
[[noreturn]] ON_HOST_API void misaligned(uintptr_t address, uintptr_t bytes, uintptr_t align);
[[noreturn]] ON_HOST_API void written_read_only(uintptr_t address);

ON_HOST_API void barrier(int line);
ON_HOST_API void give_way();

// All lanes in `mask` meet: the last one to arrive runs `all` over what each brought, then all go on.
ON_HOST_API void meet(unsigned mask, const char* what, int line, void* mine, void (*all)(void** lanes, unsigned mask));
ON_HOST_API unsigned lane();

ON_HOST_API void start_copy(void* shared, const char* source, int bytes);
ON_HOST_API void commit_copies();
ON_HOST_API void wait_copies(int pending);

// Checks one access to device memory.
template <bool Write>
__attribute__((always_inline)) inline void check(const volatile void* place, uintptr_t bytes, uintptr_t align) {
    uintptr_t address = reinterpret_cast<uintptr_t>(place);
    if (__builtin_expect((address & (align - 1)) != 0, 0)) misaligned(address, bytes, align);
    State& s = *state;
    for (;;) {
#pragma GCC unroll 6
        for (int i = 0; i < RECENT; i++) {
            Recent& r = s.recent[i];
            uintptr_t offset = address - r.base;
            if (__builtin_expect(offset < r.size && bytes <= r.size - offset, 1)) {
                if (address < r.low[Write]) r.low[Write] = address;
                if (address + bytes > r.high[Write]) r.high[Write] = address + bytes;
                if (Write && __builtin_expect(r.read_only, 0)) written_read_only(address);
                return;
            }
        }
        find(address, bytes, Write);
    }
}

}  // namespace on_host
