// What the stand-in driver (Rust) and the runtime of kernels on the host (C++) hand to each other.
#pragma once
#include <cstddef>
#include <cstdint>

// Memory that a kernel may touch: its exact size, not the rounded one.
struct OnHostRange {
    uint64_t base;
    uint64_t size;
    uint64_t id;         // what the driver knows it by
    uint64_t read_only;  // page-locked for reading only
};

// What a launch touched of one range: the hull [low, high) of its reads and of its writes; low > high if there were none.
struct OnHostTouch {
    uint64_t id;
    uint64_t read_low, read_high;
    uint64_t write_low, write_high;
};

struct OnHostLaunch {
    uint64_t kernel;  // its number in the table
    uint32_t grid[3];
    uint32_t block[3];
    uint32_t dynamic_shared;
    uint32_t static_shared;  // bytes, as the PTX says; 0 = none, nothing to poison
    void** parameters;
    const OnHostRange* ranges;  // sorted by base
    uint64_t range_count;
    const OnHostRange* freed;  // for messages only
    uint64_t freed_count;
    uint64_t seed;
    uint32_t threads;      // OS threads to use at most
    uint32_t deadline_ms;  // a kernel that pauses for longer has failed
    // Results, valid until the next launch.
    uint32_t paused;  // whether it gave way, waiting for something
    int32_t code;  // a CUresult; 0 = it ran
    char message[1024];
    const OnHostTouch* touched;
    uint64_t touched_count;
};

struct OnHostKernel {
    const char* name;
    void (*call)(void** parameters);
    const uint32_t* sizes;  // of the parameters, in bytes
    uint32_t count;
    void* (*anchor)();  // the address of a thread_local of the library that holds the kernel, on the calling thread
};

extern "C" {
uint64_t coldstart_on_host_kernels(const OnHostKernel** table);
void coldstart_on_host_run(OnHostLaunch* launch);
}
