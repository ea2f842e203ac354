// Global<T>: a place in device memory, of which every access is checked. As a kernel's parameter it is a pointer.
#pragma once
#include "state.h"

template <class T>
class Global {
    T* place;

  public:
    Global() = default;
    Global(decltype(nullptr)) : place(nullptr) {}
    explicit Global(T* place) : place(place) {}
    // Global<T> as Global<const T>
    template <class U, class = std::enable_if_t<std::is_same_v<const U, T> && !std::is_same_v<U, T>>>
    Global(Global<U> other) : place(other.unchecked()) {}

    // The address, for code that checks on its own.
    T* unchecked() const { return place; }

    template <class I>
    T& operator[](I i) const {
        static_assert(std::is_integral_v<I>);
        T* at = reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(place) + static_cast<uintptr_t>(static_cast<int64_t>(i)) * sizeof(T));
        on_host::check<!std::is_const_v<T>>(at, sizeof(T), alignof(T));
        return *at;
    }
    T& operator*() const { return (*this)[0]; }
    T* operator->() const { return &(*this)[0]; }
    explicit operator bool() const { return place != nullptr; }

    template <class I>
    Global operator+(I i) const {
        return Global(reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(place) + static_cast<uintptr_t>(static_cast<int64_t>(i)) * sizeof(T)));
    }
    template <class I, class = std::enable_if_t<std::is_integral_v<I>>>
    Global operator-(I i) const {
        return *this + -static_cast<int64_t>(i);
    }
    ptrdiff_t operator-(Global other) const { return place - other.place; }
    template <class I>
    Global& operator+=(I i) {
        return *this = *this + i;
    }
    template <class I>
    Global& operator-=(I i) {
        return *this = *this - i;
    }
    Global& operator++() { return *this += 1; }
    Global& operator--() { return *this -= 1; }
    Global operator++(int) {
        Global before = *this;
        ++*this;
        return before;
    }
    Global operator--(int) {
        Global before = *this;
        --*this;
        return before;
    }
    friend bool operator==(Global a, Global b) { return a.place == b.place; }
    friend bool operator!=(Global a, Global b) { return a.place != b.place; }
    friend bool operator<(Global a, Global b) { return a.place < b.place; }
    friend bool operator<=(Global a, Global b) { return a.place <= b.place; }
    friend bool operator>(Global a, Global b) { return a.place > b.place; }
    friend bool operator>=(Global a, Global b) { return a.place >= b.place; }
};
static_assert(sizeof(Global<char>) == 8 && std::is_trivially_copyable_v<Global<char>>);
static_assert(std::is_trivially_default_constructible_v<Global<char>>);

template <class U, class T>
inline Global<U> view_as(Global<T> place) {
    static_assert(std::is_const_v<U> || !std::is_const_v<T>, "a view does not make memory writable");
    return Global<U>(reinterpret_cast<U*>(place.unchecked()));
}
// Shared memory.
template <class U, class T>
inline U* view_as(T* place) {
    return reinterpret_cast<U*>(place);
}
template <class T>
inline T* dynamic_shared() {
    return reinterpret_cast<T*>(on_host::state->dynamic_shared);
}

// 0 for a pointer into shared memory, 1 for device memory: CUDA's __isShared and the like are not needed otherwise.
template <class T>
inline T __ldg(const T* place) {
    return *place;
}
template <class T>
inline std::remove_const_t<T> __ldg(Global<T> place) {
    return *view_as<const std::remove_const_t<T>>(place);
}
