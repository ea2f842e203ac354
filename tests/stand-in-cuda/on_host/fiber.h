// A thread of a block: a stack of its own on the OS thread that plays the block.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "state.h"
#ifndef __x86_64__
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace on_host {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t STACK = 1024 * 1024;
#else
constexpr size_t STACK = 128 * 1024;
#endif
constexpr uint64_t CANARY = 0x57ac4caa57ac4caaull;

struct Copy {
    char* shared;
    const char* source;
    int bytes;
    int group;
};

struct Fiber {
#ifdef __x86_64__
    void* sp = nullptr;
#else
    ucontext_t context;
#endif
    char* stack = nullptr;   // lowest address; null for the OS thread's own stack
    char* bottom = nullptr;  // the same, also for the OS thread's own stack, where AddressSanitizer wants to know it
    size_t stack_size = 0;
    void* fake = nullptr;   // AddressSanitizer's
    unsigned thread = 0;    // its number in the block
    Index index{};
    bool parked = false;    // waits at the top of its main loop
    std::vector<Copy> copies;
    int group = 0;          // copies that were committed so far
};

#ifdef __x86_64__
extern "C" void coldstart_on_host_switch(void** save, void* to);
#endif

// Makes `fiber` begin at `main` when it is switched to.
inline void prepare(Fiber& fiber, void (*main)()) {
    if (fiber.stack == nullptr) {
        size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        void* memory = mmap(nullptr, STACK + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            perror("stand-in: no memory for the stack of a thread");
            abort();
        }
        mprotect(memory, page, PROT_NONE);
        fiber.stack = static_cast<char*>(memory) + page;
        fiber.bottom = fiber.stack;
        fiber.stack_size = STACK;
    }
#if defined(__SANITIZE_ADDRESS__)
    // What ran on it before may have been left in the middle.
    __asan_unpoison_memory_region(fiber.stack, fiber.stack_size);
#endif
    memcpy(fiber.stack, &CANARY, sizeof CANARY);
#ifdef __x86_64__
    // What the switch pops: six registers, then the address that it returns to, with the stack as after a call.
    void** top = reinterpret_cast<void**>(fiber.stack + fiber.stack_size) - 1;
    *top = nullptr;
    *--top = reinterpret_cast<void*>(main);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    fiber.sp = top;
#else
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = fiber.stack_size;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, main, 0);
#endif
    fiber.parked = false;
}

inline bool overflown(const Fiber& fiber) {
    return fiber.stack != nullptr && memcmp(fiber.stack, &CANARY, sizeof CANARY) != 0;
}

inline void switch_fiber(Fiber& from, Fiber& to) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&from.fake, to.bottom, to.stack_size);
#endif
#ifdef __x86_64__
    coldstart_on_host_switch(&from.sp, to.sp);
#else
    swapcontext(&from.context, &to.context);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(from.fake, nullptr, nullptr);
#endif
}

}  // namespace on_host
