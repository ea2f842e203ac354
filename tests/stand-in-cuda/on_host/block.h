// One OS thread that plays blocks, one after the other.
#pragma once
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "fiber.h"

namespace on_host {

// What all OS threads of a launch share.
struct Launch {
    OnHostLaunch* order;
    OnHostKernel kernel;
    uint64_t blocks;
    std::atomic<uint64_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex mutex;  // guards what follows
    std::vector<OnHostTouch> touched;
    std::chrono::steady_clock::time_point deadline;
};

struct Meeting {
    unsigned mask;
    unsigned arrived;
    const char* what;
    int line;
    void* lanes[32];
    Fiber* fibers[32];
};

class Player : public State {
  public:
    Player();
    // Plays blocks of a launch until there are none left.
    void play(Launch& launch);

    // What kernels call while they run.
    void wait_at_barrier(int line);
    void meet_lanes(unsigned mask, const char* what, int line, void* mine, void (*all)(void**, unsigned));
    void give_way();
    void find_range(uintptr_t address, uintptr_t bytes, bool write);
    void record_failure(int code, const char* message);
    [[noreturn]] void abandon();
    // A signal: the kernel touched what is not there.
    [[noreturn]] void touched_nothing(uintptr_t address);
    void finish_copies(Fiber& fiber, int pending);

    Fiber* current = nullptr;
    Launch* launch = nullptr;

  private:
    void play_block(uint64_t number);
    void thread_loop();
    static void fiber_main();
    unsigned start_next();
    void thread_exits();
    Fiber* take_fiber();
    void dispatch(bool wait_for_turn);
    void release(Fiber* fiber) { ready[ready_end++ & ready_mask] = fiber; }
    void stuck();
    void forget_ranges();
    void flush(Recent& range);
    void make_shared(size_t size);
    void poison_shared();
    void note_shared();

    Fiber scheduler;
    std::deque<Fiber> fibers;
    std::vector<Fiber*> unused;
    // A ring of those who can go on.
    std::vector<Fiber*> ready;
    unsigned ready_mask = 0, ready_first = 0, ready_end = 0;

    unsigned threads = 0;
    unsigned started = 0;
    unsigned exited = 0;
    unsigned first_exited = 0;
    // The order in which threads start: each `step` behind the one before, round the block.
    unsigned step = 1, next_thread = 0;

    std::vector<Fiber*> at_barrier;
    int barrier_line = 0;
    unsigned barriers = 0;

    std::vector<std::vector<Meeting*>> meetings;  // by warp
    std::deque<Meeting> meeting_memory;
    std::vector<Meeting*> meeting_pool;

    int victim = 0;
    // Dynamic shared memory ends where a page that can't be touched begins.
    char* shared_end = nullptr;
    size_t shared_size = 0;
    // The `__shared__` arrays of the library of the last kernel, on this OS thread, and what of them is not poison.
    char* statics = nullptr;
    size_t statics_size = 0;
    size_t dirty_low = 0, dirty_high = 0;
    uint64_t blocks_played = 0;
};

inline Player& player() { return *static_cast<Player*>(state); }

}  // namespace on_host
