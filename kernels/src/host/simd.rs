//! The vector instructions of this CPU, found when the device is opened.
//!
//! A kernel is written once, generic over [`Simd`], and compiled once for each instruction set ([`Isa::dispatch`]). A
//! value of a `Simd` type exists only where its instructions were found, so its methods need no further check.

use half::{bf16, f16};

/// A vector of f32 and what can be done with it.
pub(super) trait Simd: Copy + Send + Sync {
    /// The vector.
    type V: Copy;
    /// Numbers in it.
    const LANES: usize;
    /// Whether there are 32 vector registers (else 16): how many sums a kernel can hold.
    const WIDE: bool;

    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// a·b + c
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a·b + c of single numbers, rounded as in [`fma`](Simd::fma).
    fn fma1(self, a: f32, b: f32, c: f32) -> f32;
    /// The sum of the lanes, in an order that depends on nothing but `Self`.
    fn sum(self, a: Self::V) -> f32;
    /// # Safety
    /// `from` must be readable for `LANES` numbers; so for the other loads.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// # Safety
    /// As [`load`](Simd::load).
    unsafe fn load_f16(self, from: *const f16) -> Self::V;
    /// # Safety
    /// As [`load`](Simd::load).
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V;
    /// # Safety
    /// `to` must be writable for `LANES` numbers.
    unsafe fn store(self, to: *mut f32, a: Self::V);
    /// Asks for the cache line that holds `at`. Only a hint: nothing is read, whatever the address.
    #[inline(always)]
    fn prefetch<T>(self, _at: *const T) {}
}

/// A number in memory that vectors of f32 are loaded from.
pub(super) trait Element: Copy + Send + Sync + 'static {
    /// As f32, exactly.
    fn widen(self) -> f32;
    /// The nearest to an f32, ties to even.
    fn narrow(x: f32) -> Self;
    /// # Safety
    /// `from` must be readable for `S::LANES` elements.
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::V;
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
    #[inline(always)]
    fn narrow(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const f32) -> S::V {
        // SAFETY: promised by the caller.
        unsafe { simd.load(from) }
    }
}

impl Element for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
    #[inline(always)]
    fn narrow(x: f32) -> f16 {
        f16::from_f32(x)
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const f16) -> S::V {
        // SAFETY: promised by the caller.
        unsafe { simd.load_f16(from) }
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn narrow(x: f32) -> bf16 {
        bf16::from_f32(x)
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const bf16) -> S::V {
        // SAFETY: promised by the caller.
        unsafe { simd.load_bf16(from) }
    }
}

/// Code that is compiled for each instruction set. `run` must be `#[inline(always)]`, so that it becomes part of the
/// function whose instructions are enabled.
pub(super) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that this CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512(super::x86::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(super::x86::Avx2),
    Portable,
}

impl Isa {
    /// The widest that this CPU has.
    pub(super) fn detect() -> Isa {
        Isa::all().into_iter().next().unwrap_or(Isa::Portable)
    }

    /// All that this CPU has, the widest first.
    pub(super) fn all() -> Vec<Isa> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(super::x86::Avx512::detect().map(Isa::Avx512));
            found.extend(super::x86::Avx2::detect().map(Isa::Avx2));
        }
        found.push(Isa::Portable);
        found
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512f",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            Isa::Portable => "portable",
        }
    }

    /// Numbers in a vector.
    pub(super) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => super::x86::Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => super::x86::Avx2::LANES,
            Isa::Portable => Portable::LANES,
        }
    }

    /// Whether it has 32 vector registers.
    pub(super) fn wide(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => super::x86::Avx512::WIDE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => super::x86::Avx2::WIDE,
            Isa::Portable => Portable::WIDE,
        }
    }

    /// Runs the kernel as compiled for these instructions.
    #[inline]
    pub(super) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(simd) => simd.run(kernel),
            Isa::Portable => kernel.run(Portable),
        }
    }
}

/// Plain Rust: the compiler makes what it can of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Portable;

impl Simd for Portable {
    type V = [f32; 8];
    const LANES: usize = 8;
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; 8] {
        [x; 8]
    }
    #[inline(always)]
    fn add(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    fn fma(self, a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| self.fma1(a[lane], b[lane], c[lane]))
    }
    #[inline(always)]
    fn fma1(self, a: f32, b: f32, c: f32) -> f32 {
        // Without the instruction a fused product is a slow library call.
        if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
    }
    #[inline(always)]
    fn sum(self, a: [f32; 8]) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> [f32; 8] {
        // SAFETY: readable by the caller's promise; an array may lie at any element's address.
        unsafe { from.cast::<[f32; 8]>().read() }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> [f32; 8] {
        // SAFETY: as above.
        unsafe { from.cast::<[f16; 8]>().read() }.map(Element::widen)
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> [f32; 8] {
        // SAFETY: as above.
        unsafe { from.cast::<[bf16; 8]>().read() }.map(Element::widen)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, a: [f32; 8]) {
        // SAFETY: writable by the caller's promise.
        unsafe { to.cast::<[f32; 8]>().write(a) }
    }
}
