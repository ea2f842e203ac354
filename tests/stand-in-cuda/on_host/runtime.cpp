// The runtime's entry points: the table of kernels, launches over OS threads, checks of accesses, copies into shared memory.
#include <cstdarg>
#include <condition_variable>
#include <thread>

#include "block.h"

namespace on_host {

namespace {

std::vector<OnHostKernel>& table() {
    static auto* kernels = new std::vector<OnHostKernel>;
    return *kernels;
}

// OS threads that help; they live as long as the process.
class Helpers {
  public:
    void run(Launch& launch, unsigned helpers) {
        {
            std::lock_guard<std::mutex> guard(mutex);
            while (count < helpers) {
                std::thread([this] { serve(); }).detach();
                count++;
            }
            work = &launch;
            wanted = helpers;
        }
        wake.notify_all();
        here().play(launch);
        std::unique_lock<std::mutex> guard(mutex);
        wanted = 0;
        done.wait(guard, [this] { return busy == 0; });
        work = nullptr;
    }
    static Player& here() {
        if (state == nullptr) state = new Player;
        return player();
    }

  private:
    void serve() {
        std::unique_lock<std::mutex> guard(mutex);
        for (;;) {
            wake.wait(guard, [this] { return wanted > 0; });
            wanted--;
            busy++;
            Launch* launch = work;
            guard.unlock();
            here().play(*launch);
            guard.lock();
            busy--;
            if (busy == 0) done.notify_all();
        }
    }

    std::mutex mutex;
    std::condition_variable wake, done;
    Launch* work = nullptr;
    unsigned count = 0, wanted = 0, busy = 0;
};

Helpers& helpers() {
    static auto* all = new Helpers;
    return *all;
}

const OnHostRange* at_or_before(const OnHostRange* ranges, uint64_t count, uintptr_t address) {
    uint64_t low = 0, high = count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (ranges[middle].base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? nullptr : &ranges[low - 1];
}

}  // namespace

void add_kernel(const OnHostKernel& kernel) { table().push_back(kernel); }

void fail(int code, const char* format, ...) {
    Player& p = player();
    char text[768], message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(message, sizeof message, "kernel `%s`, block (%u, %u, %u), thread (%u, %u, %u): %s", p.launch->kernel.name, p.block.x,
             p.block.y, p.block.z, p.thread.x, p.thread.y, p.thread.z, text);
    p.record_failure(code, message);
    p.abandon();
}

void misaligned(uintptr_t address, uintptr_t bytes, uintptr_t align) {
    fail(716, "accesses %zu bytes at %#zx, which is not a multiple of %zu", bytes, address, align);
}

void written_read_only(uintptr_t address) {
    fail(700, "writes at %#zx, in host memory that was registered for reading only", address);
}

void find(uintptr_t address, uintptr_t bytes, bool write) { player().find_range(address, bytes, write); }

void Player::find_range(uintptr_t address, uintptr_t bytes, bool write) {
    const OnHostLaunch& order = *launch->order;
    const OnHostRange* range = at_or_before(order.ranges, order.range_count, address);
    if (range != nullptr) {
        uint64_t offset = address - range->base;
        if (offset < range->size && bytes <= range->size - offset) {
            Recent& slot = recent[victim];
            victim = (victim + 1) % RECENT;
            flush(slot);
            slot.base = range->base;
            slot.size = range->size;
            slot.id = range->id;
            slot.read_only = range->read_only;
            return;
        }
    }
    const char* verb = write ? "writes" : "reads";
    const OnHostRange* gone = at_or_before(order.freed, order.freed_count, address);
    if (gone != nullptr && address - gone->base < gone->size)
        fail(700, "%s %zu bytes at %#zx, %zu bytes into the %zu bytes of allocation %zu, which was freed", verb, bytes, address,
             address - gone->base, size_t(gone->size), size_t(gone->id));
    if (address < 4096) fail(700, "%s %zu bytes at %#zx: a null pointer", verb, bytes, address);
    const OnHostRange* next = range == nullptr ? order.ranges : range + 1;
    bool has_next = order.range_count > 0 && next < order.ranges + order.range_count;
    if (range != nullptr && (!has_next || address - (range->base + range->size) <= next->base - address))
        fail(700, "%s %zu bytes at %#zx, %zd bytes past the end of the %zu bytes of allocation %zu", verb, bytes, address,
             static_cast<ssize_t>(address + bytes - (range->base + range->size)), size_t(range->size), size_t(range->id));
    if (has_next)
        fail(700, "%s %zu bytes at %#zx, %zu bytes before the %zu bytes of allocation %zu", verb, bytes, address,
             size_t(next->base - address), size_t(next->size), size_t(next->id));
    fail(700, "%s %zu bytes at %#zx, where nothing is allocated", verb, bytes, address);
}

void Player::flush(Recent& range) {
    if (range.size != 0 && (range.low[0] < range.high[0] || range.low[1] < range.high[1])) {
        std::lock_guard<std::mutex> guard(launch->mutex);
        OnHostTouch* touch = nullptr;
        for (OnHostTouch& known : launch->touched)
            if (known.id == range.id) touch = &known;
        if (touch == nullptr) {
            launch->touched.push_back({range.id, UINT64_MAX, 0, UINT64_MAX, 0});
            touch = &launch->touched.back();
        }
        if (range.low[0] < touch->read_low) touch->read_low = range.low[0];
        if (range.high[0] > touch->read_high) touch->read_high = range.high[0];
        if (range.low[1] < touch->write_low) touch->write_low = range.low[1];
        if (range.high[1] > touch->write_high) touch->write_high = range.high[1];
    }
    range = Recent{0, 0, {UINTPTR_MAX, UINTPTR_MAX}, {0, 0}, 0, 0};
}

void Player::forget_ranges() {
    for (Recent& range : recent) flush(range);
}

void barrier(int line) { player().wait_at_barrier(line); }
void give_way() { player().give_way(); }
unsigned lane() { return player().current->thread % 32; }
void meet(unsigned mask, const char* what, int line, void* mine, void (*all)(void**, unsigned)) {
    player().meet_lanes(mask, what, line, mine, all);
}

void start_copy(void* shared, const char* source, int bytes) {
    Fiber& me = *player().current;
    if (reinterpret_cast<uintptr_t>(shared) % 16 != 0) misaligned(reinterpret_cast<uintptr_t>(shared), 16, 16);
    if (bytes < 0 || bytes > 16) fail(719, "copy_async of %d bytes: 0 to 16 are possible", bytes);
    if (bytes > 0) {
        if (reinterpret_cast<uintptr_t>(source) % 16 != 0) misaligned(reinterpret_cast<uintptr_t>(source), 16, 16);
        check<false>(source, static_cast<uintptr_t>(bytes), 1);
    }
    memset(shared, 0xff, 16);
    me.copies.push_back({static_cast<char*>(shared), source, bytes, me.group});
}
void commit_copies() { player().current->group++; }
void wait_copies(int pending) { player().finish_copies(*player().current, pending); }

// Groups 0..group are committed; all of them but the last `pending` are done when this returns.
void Player::finish_copies(Fiber& fiber, int pending) {
    size_t kept = 0;
    for (Copy& copy : fiber.copies) {
        if (copy.group >= fiber.group - pending) {
            fiber.copies[kept++] = copy;
            continue;
        }
        memset(copy.shared, 0, 16);
        if (copy.bytes > 0) memcpy(copy.shared, copy.source, static_cast<size_t>(copy.bytes));
    }
    fiber.copies.resize(kept);
}

}  // namespace on_host

extern "C" ON_HOST_API uint64_t coldstart_on_host_kernels(const OnHostKernel** table) {
    *table = on_host::table().data();
    return on_host::table().size();
}

extern "C" ON_HOST_API void coldstart_on_host_run(OnHostLaunch* order) {
    static std::vector<OnHostTouch> touched;
    on_host::Launch launch;
    launch.order = order;
    launch.kernel = on_host::table()[order->kernel];
    launch.blocks = uint64_t(order->grid[0]) * order->grid[1] * order->grid[2];
    launch.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(order->deadline_ms);
    order->code = 0;
    order->message[0] = 0;
    uint64_t threads = order->threads < launch.blocks ? order->threads : launch.blocks;
    if (threads > 1)
        on_host::helpers().run(launch, static_cast<unsigned>(threads - 1));
    else
        on_host::Helpers::here().play(launch);
    touched.swap(launch.touched);
    order->touched = touched.data();
    order->touched_count = touched.size();
}
