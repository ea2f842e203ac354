// Plays the threads of a block as fibers: each runs until it waits for others.
#include "block.h"

#include <link.h>
#include <pthread.h>
#include <signal.h>

#include <cstdarg>
#include <numeric>

namespace on_host {

__thread State* state = nullptr;

#ifdef __x86_64__
asm(R"(
.text
.globl coldstart_on_host_switch
.hidden coldstart_on_host_switch
.type coldstart_on_host_switch,@function
coldstart_on_host_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size coldstart_on_host_switch,.-coldstart_on_host_switch
)");
#endif

namespace {

uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

struct Segment {
    const char* inside;  // an address in the library's code
    void* anchor;        // an address in its thread-local storage
    char* begin;
    size_t size;
};

int find_segment(dl_phdr_info* info, size_t, void* data) {
    auto* wanted = static_cast<Segment*>(data);
    const char* base = reinterpret_cast<const char*>(info->dlpi_addr);
    bool ours = false;
    size_t size = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto& header = info->dlpi_phdr[i];
        const char* start = base + header.p_vaddr;
        if (header.p_type == PT_LOAD && wanted->inside >= start && wanted->inside < start + header.p_memsz) ours = true;
        if (header.p_type == PT_TLS) size = header.p_memsz;
    }
    if (!ours) return 0;
    wanted->begin = static_cast<char*>(info->dlpi_tls_data);
    wanted->size = size;
    return 1;
}

struct sigaction before;

void on_fault(int, siginfo_t* info, void*) {
    if (state != nullptr && player().current != nullptr) player().touched_nothing(reinterpret_cast<uintptr_t>(info->si_addr));
    // Not a kernel: whoever was there before takes it when the instruction is tried again.
    sigaction(SIGSEGV, &before, nullptr);
}

void watch_faults() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action {};
        action.sa_sigaction = on_fault;
        // The handler may leave for another stack, so the signal must not stay blocked.
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigaction(SIGSEGV, &action, &before);
    });
}

// A stack for signals of this OS thread: that of a thread of the kernel may be what has overflown.
class SignalStack {
  public:
    SignalStack() {
        watch_faults();
        static thread_local std::vector<char>* memory = new std::vector<char>(64 * 1024);
        stack_t stack{};
        stack.ss_sp = memory->data();
        stack.ss_size = memory->size();
        sigaltstack(&stack, &before);
    }
    ~SignalStack() { sigaltstack(&before, nullptr); }
    SignalStack(const SignalStack&) = delete;

  private:
    stack_t before{};
};

}  // namespace

Player::Player() : State{} {
#if defined(__SANITIZE_ADDRESS__)
    pthread_attr_t attributes;
    void* bottom = nullptr;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &bottom, &scheduler.stack_size);
    pthread_attr_destroy(&attributes);
    scheduler.bottom = static_cast<char*>(bottom);
#endif
    for (Recent& range : recent) range = Recent{0, 0, {UINTPTR_MAX, UINTPTR_MAX}, {0, 0}, 0, 0};
}

void Player::play(Launch& what) {
    launch = &what;
    const OnHostLaunch& order = *what.order;
    block_size = {order.block[0], order.block[1], order.block[2]};
    grid_size = {order.grid[0], order.grid[1], order.grid[2]};
    threads = order.block[0] * order.block[1] * order.block[2];
    meetings.resize((threads + 31) / 32);
    while (ready.size() < threads) {
        ready.resize(ready.empty() ? 64 : 2 * ready.size());
        ready_mask = static_cast<unsigned>(ready.size() - 1);
    }
    make_shared(order.dynamic_shared);
    SignalStack signal_stack;
    blocks_played = 0;
    if (order.static_shared != 0) {
        Segment segment{reinterpret_cast<const char*>(what.kernel.call), what.kernel.anchor(), nullptr, 0};
        dl_iterate_phdr(find_segment, &segment);
        if (segment.begin != statics) {
            statics = segment.begin;
            statics_size = segment.begin == nullptr ? 0 : segment.size;
            dirty_low = 0;
            dirty_high = statics_size;
        }
    }
    while (!what.failed.load(std::memory_order_relaxed)) {
        uint64_t number = what.next.fetch_add(1, std::memory_order_relaxed);
        if (number >= what.blocks) break;
        play_block(number);
    }
    if (order.static_shared != 0) poison_shared();
    forget_ranges();
    launch = nullptr;
}

// Dynamic shared memory of `size` bytes, aligned to 16, of which nothing lies behind its end.
void Player::make_shared(size_t size) {
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    if (shared_end == nullptr || size > shared_size) {
        if (shared_end != nullptr) munmap(shared_end - shared_size, shared_size + page);
        shared_size = (size / page + 1) * page;
        void* memory = mmap(nullptr, shared_size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            perror("stand-in: no shared memory");
            abort();
        }
        shared_end = static_cast<char*>(memory) + shared_size;
        mprotect(shared_end, page, PROT_NONE);
    }
    dynamic_shared = shared_end - (size + 15) / 16 * 16;
}

void Player::play_block(uint64_t number) {
    const OnHostLaunch& order = *launch->order;
    block.x = static_cast<unsigned>(number % order.grid[0]);
    block.y = static_cast<unsigned>(number / order.grid[0] % order.grid[1]);
    block.z = static_cast<unsigned>(number / order.grid[0] / order.grid[1]);
    // Threads start in an order of their own in each block: ascending, descending or scattered.
    uint64_t dice = mix(order.seed ^ mix(number));
    step = 1;
    next_thread = 0;
    if (dice % 3 == 1) {
        step = threads - 1;
        next_thread = threads - 1;
    } else if (dice % 3 == 2 && threads > 2) {
        step = static_cast<unsigned>(dice >> 8) % threads | 1;
        while (std::gcd(step, threads) != 1) step += 2;
        step %= threads;
        next_thread = static_cast<unsigned>(dice >> 40) % threads;
    }
    memset(dynamic_shared, 0xff, order.dynamic_shared);
    if (order.static_shared != 0 && statics_size != 0) poison_shared();

    started = exited = barriers = 0;
    ready_first = ready_end = 0;
    at_barrier.clear();
    for (auto& warp : meetings) {
        for (Meeting* meeting : warp) meeting_pool.push_back(meeting);
        warp.clear();
    }
    unused.clear();
    for (Fiber& fiber : fibers) unused.push_back(&fiber);

    current = take_fiber();
    switch_fiber(scheduler, *current);
    current = nullptr;
    if (exited != threads && !launch->failed) stuck();
    blocks_played++;
    if (order.static_shared != 0 && statics_size != 0) note_shared();
}

// All that is not poison becomes poison.
void Player::poison_shared() {
    if (dirty_low < dirty_high) memset(statics + dirty_low, 0xff, dirty_high - dirty_low);
}

// Finds out which part of the library's `__shared__` arrays this kernel uses: what is no longer poison after its first
// blocks, looked at again and again at growing distances.
void Player::note_shared() {
    if ((blocks_played & (blocks_played - 1)) != 0) return;
    if (blocks_played == 1) {
        dirty_low = statics_size;
        dirty_high = 0;
    }
    size_t low = 0, high = statics_size;
    const uint64_t clean = ~0ull;
    auto is_clean = [&](size_t i) { return memcmp(statics + i, &clean, 8) == 0; };
    while (low + 8 <= high && is_clean(low)) low += 8;
    while (high >= low + 8 && is_clean(high - 8)) high -= 8;
    if (low < dirty_low) dirty_low = low;
    if (high > dirty_high) dirty_high = high;
}

Fiber* Player::take_fiber() {
    if (unused.empty()) {
        fibers.emplace_back();
        unused.push_back(&fibers.back());
    }
    Fiber* fiber = unused.back();
    unused.pop_back();
    if (!fiber->parked) prepare(*fiber, fiber_main);
    return fiber;
}

void Player::fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    player().thread_loop();
}

void Player::thread_loop() {
    Fiber* me = current;
    for (;;) {
        while (started < threads) {
            me->thread = start_next();
            unsigned t = me->thread;
            me->index = t < block_size.x ? Index{t, 0, 0}
                                         : Index{t % block_size.x, t / block_size.x % block_size.y, t / block_size.x / block_size.y};
            me->copies.clear();
            me->group = 0;
            thread = me->index;
            launch->kernel.call(launch->order->parameters);
            thread_exits();
        }
        me->parked = true;
        unused.push_back(me);
        dispatch(false);
        me->parked = false;
    }
}

unsigned Player::start_next() {
    unsigned t = next_thread;
    started++;
    next_thread += step;
    if (next_thread >= threads) next_thread -= threads;
    return t;
}

void Player::thread_exits() {
    if (exited == 0) first_exited = current->thread;
    exited++;
    if (!at_barrier.empty() && at_barrier.size() + exited == threads)
        fail(719, "thread %u returned while %zu threads wait at the __syncthreads in line %d", current->thread,
             at_barrier.size(), barrier_line);
}

// Runs somebody else; comes back when this fiber is switched to again.
void Player::dispatch(bool wait_for_turn) {
    Fiber* me = current;
    if (overflown(*me)) fail(719, "thread %u has overflown its stack of %zu bytes", me->thread, me->stack_size);
    if (wait_for_turn) release(me);
    Fiber* next;
    if (ready_first != ready_end) {
        next = ready[ready_first++ & ready_mask];
    } else if (started < threads) {
        next = take_fiber();
    } else {
        next = &scheduler;
    }
    if (next == me) return;
    current = next;
    thread = next->index;
    switch_fiber(*me, *next);
}

void Player::wait_at_barrier(int line) {
    Fiber* me = current;
    if (at_barrier.empty()) {
        barrier_line = line;
    } else if (barrier_line != line) {
        fail(719, "thread %u is at the __syncthreads in line %d, thread %u waits at the one in line %d", me->thread, line,
             at_barrier.front()->thread, barrier_line);
    }
    at_barrier.push_back(me);
    if (at_barrier.size() + exited < threads) {
        dispatch(false);
        return;
    }
    if (exited > 0)
        fail(719, "%zu threads wait at the __syncthreads in line %d, which thread %u never reaches: it has returned",
             at_barrier.size(), line, first_exited);
    // Half of the barriers let those who came last go first.
    std::vector<Fiber*> waiting;
    waiting.swap(at_barrier);
    if (barriers++ % 2 == 0) {
        for (size_t i = waiting.size(); i-- > 0;) release(waiting[i]);
    } else {
        for (Fiber* fiber : waiting) release(fiber);
    }
    waiting.clear();
    at_barrier.swap(waiting);
    dispatch(false);
}

void Player::meet_lanes(unsigned mask, const char* what, int line, void* mine, void (*all)(void**, unsigned)) {
    Fiber* me = current;
    unsigned lane = me->thread % 32;
    auto& warp = meetings[me->thread / 32];
    if (!(mask >> lane & 1)) fail(719, "%s in line %d: the mask %#x does not name the lane %u that calls", what, line, mask, lane);
    Meeting* meeting = nullptr;
    size_t place = 0;
    for (; place < warp.size(); place++) {
        if (warp[place]->mask == mask) {
            meeting = warp[place];
            break;
        }
    }
    if (meeting == nullptr) {
        if (meeting_pool.empty()) {
            meeting_memory.emplace_back();
            meeting_pool.push_back(&meeting_memory.back());
        }
        meeting = meeting_pool.back();
        meeting_pool.pop_back();
        meeting->mask = mask;
        meeting->arrived = 0;
        meeting->what = what;
        meeting->line = line;
        warp.push_back(meeting);
    } else if (meeting->line != line || (meeting->what != what && strcmp(meeting->what, what) != 0)) {
        fail(719, "lane %u is at %s in line %d, other lanes of its warp wait at %s in line %d", lane, what, line,
             meeting->what, meeting->line);
    }
    meeting->lanes[lane] = mine;
    meeting->fibers[lane] = me;
    meeting->arrived |= 1u << lane;
    if (meeting->arrived != mask) {
        dispatch(false);
        return;
    }
    all(meeting->lanes, mask);
    for (unsigned other = 0; other < 32; other++)
        if ((mask >> other & 1) && other != lane) release(meeting->fibers[other]);
    warp[place] = warp.back();
    warp.pop_back();
    meeting_pool.push_back(meeting);
}

void Player::give_way() {
    __atomic_store_n(&launch->order->paused, 1u, __ATOMIC_RELAXED);
    if (launch->failed.load(std::memory_order_relaxed)) abandon();
    if (std::chrono::steady_clock::now() > launch->deadline) fail(702, "it waits for longer than %u ms", launch->order->deadline_ms);
    if (ready_first == ready_end && started == threads) usleep(20);
    dispatch(true);
}

// Nobody can go on, and not all have returned. Runs on the OS thread's own stack.
void Player::stuck() {
    char text[256] = "threads wait for each other";
    for (size_t w = 0; w < meetings.size(); w++) {
        if (meetings[w].empty()) continue;
        const Meeting& meeting = *meetings[w].front();
        snprintf(text, sizeof text, "lanes %#x of warp %zu wait at %s in line %d for lanes %#x, which %s", meeting.arrived, w,
                 meeting.what, meeting.line, meeting.mask & ~meeting.arrived,
                 exited > 0 || threads % 32 != 0 ? "have returned or never were" : "wait elsewhere");
        break;
    }
    char message[512];
    snprintf(message, sizeof message, "kernel `%s`, block (%u, %u, %u): %s", launch->kernel.name, block.x, block.y, block.z, text);
    record_failure(719, message);
}

// The first failure is the one that is told.
void Player::record_failure(int code, const char* message) {
    std::lock_guard<std::mutex> guard(launch->mutex);
    if (launch->failed.exchange(true)) return;
    launch->order->code = code;
    snprintf(launch->order->message, sizeof launch->order->message, "%s", message);
}

void Player::touched_nothing(uintptr_t address) {
    uintptr_t shared = reinterpret_cast<uintptr_t>(shared_end);
    uintptr_t stack = reinterpret_cast<uintptr_t>(current->stack);
    if (address >= shared && address < shared + 4096)
        fail(700, "touches %#zx, %zu bytes behind the %u bytes of dynamic shared memory (rounded up to 16)", address, address - shared,
             launch->order->dynamic_shared);
    if (address < stack && address >= stack - 4096) fail(719, "has overflown its stack of %zu bytes", current->stack_size);
    fail(700, "touches %#zx through a raw pointer: nothing is there", address);
}

// Leaves the kernel for good; its fibers begin anew with the next block.
void Player::abandon() {
    Fiber* me = current;
    current = nullptr;
    switch_fiber(*me, scheduler);
    abort();
}

}  // namespace on_host
