//! The functions, with the signatures of cublasLt.h.

use std::ffi::{c_int, c_void};

use crate::product::{self, F32, Layout, Product};
use crate::{driver, settings::settings};

const SUCCESS: c_int = 0;
const NOT_INITIALIZED: c_int = 1;
const INVALID_VALUE: c_int = 7;
const EXECUTION_FAILED: c_int = 13;
const NOT_SUPPORTED: c_int = 15;

/// `CUBLAS_COMPUTE_32F`.
const COMPUTE_32F: c_int = 68;
/// `CUBLASLT_EPILOGUE_DEFAULT` and `CUBLASLT_EPILOGUE_BIAS`.
const PLAIN: u32 = 1;
const BIAS: u32 = 4;
/// What the real library's kernels read a bias in.
const BIAS_ALIGNMENT: u64 = 16;
/// The workspace that every algorithm here wants.
const WORKSPACE: u64 = 1024;

/// `cublasLtMatmulDesc_t`.
#[derive(Debug, Clone, Copy)]
struct Desc {
    transposed: [c_int; 2],
    epilogue: u32,
    bias: u64,
}

/// `cublasLtMatmulPreference_t`.
#[derive(Debug, Clone, Copy)]
struct Preference {
    workspace: u64,
    /// Of A, B, C and D.
    alignments: [u32; 4],
}

/// `cublasLtMatmulHeuristicResult_t`.
#[repr(C)]
struct Heuristic {
    algorithm: [u64; 8],
    workspace: usize,
    status: c_int,
    waves: f32,
    reserved: [c_int; 4],
}

/// Makes an object that lives until it is destroyed.
fn put<T>(to: *mut *mut c_void, object: T) -> c_int {
    if to.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: cublasLt.h asks the caller for a place that may be written.
    unsafe { to.write(Box::into_raw(Box::new(object)).cast()) };
    SUCCESS
}

/// An object that `put` made.
fn get<'a, T>(object: *mut c_void) -> Option<&'a mut T> {
    // SAFETY: cublasLt.h asks the caller for an object of that kind that was made and not destroyed.
    unsafe { object.cast::<T>().as_mut() }
}

fn destroy<T>(object: *mut c_void) -> c_int {
    if object.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: as for `get`, and nobody uses it any more.
    drop(unsafe { Box::from_raw(object.cast::<T>()) });
    SUCCESS
}

/// The value of an attribute.
fn value<T: Copy>(place: *const c_void, bytes: usize) -> Option<T> {
    // SAFETY: cublasLt.h asks the caller for that many bytes.
    (!place.is_null() && bytes == size_of::<T>()).then(|| unsafe { place.cast::<T>().read_unaligned() })
}

/// Answers with a code that a test asked for, or as `body` does.
fn answer(function: &str, body: impl FnOnce() -> c_int) -> c_int {
    settings().failure(function).unwrap_or_else(body)
}

fn status(outcome: Option<c_int>) -> c_int {
    outcome.unwrap_or(INVALID_VALUE)
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtCreate(handle: *mut *mut c_void) -> c_int {
    answer("cublasLtCreate", || if driver::has_context() { put(handle, ()) } else { NOT_INITIALIZED })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtDestroy(_handle: *mut c_void) -> c_int {
    // An object without a size has no memory.
    answer("cublasLtDestroy", || SUCCESS)
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtGetVersion() -> usize {
    settings().version
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatrixLayoutCreate(
    layout: *mut *mut c_void,
    format: c_int,
    rows: u64,
    cols: u64,
    stride: i64,
) -> c_int {
    answer("cublasLtMatrixLayoutCreate", || {
        if product::known(format) {
            put(layout, Layout { format, rows, cols, stride })
        } else {
            NOT_SUPPORTED
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatrixLayoutDestroy(layout: *mut c_void) -> c_int {
    answer("cublasLtMatrixLayoutDestroy", || destroy::<Layout>(layout))
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulDescCreate(desc: *mut *mut c_void, compute: c_int, scale: c_int) -> c_int {
    answer("cublasLtMatmulDescCreate", || match (compute, scale) {
        (COMPUTE_32F, F32) => put(desc, Desc { transposed: [0; 2], epilogue: PLAIN, bias: 0 }),
        _ => NOT_SUPPORTED,
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulDescDestroy(desc: *mut c_void) -> c_int {
    answer("cublasLtMatmulDescDestroy", || destroy::<Desc>(desc))
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulDescSetAttribute(
    desc: *mut c_void,
    attribute: c_int,
    place: *const c_void,
    bytes: usize,
) -> c_int {
    answer("cublasLtMatmulDescSetAttribute", || {
        status((|| {
            let desc = get::<Desc>(desc)?;
            match attribute {
                3 => desc.transposed[0] = value(place, bytes)?,
                4 => desc.transposed[1] = value(place, bytes)?,
                7 => desc.epilogue = value(place, bytes)?,
                8 => desc.bias = value(place, bytes)?,
                _ => return None,
            }
            Some(SUCCESS)
        })())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulPreferenceCreate(preference: *mut *mut c_void) -> c_int {
    answer("cublasLtMatmulPreferenceCreate", || {
        put(preference, Preference { workspace: 0, alignments: [256; 4] })
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulPreferenceDestroy(preference: *mut c_void) -> c_int {
    answer("cublasLtMatmulPreferenceDestroy", || destroy::<Preference>(preference))
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulPreferenceSetAttribute(
    preference: *mut c_void,
    attribute: c_int,
    place: *const c_void,
    bytes: usize,
) -> c_int {
    answer("cublasLtMatmulPreferenceSetAttribute", || {
        status((|| {
            let preference = get::<Preference>(preference)?;
            match attribute {
                1 => preference.workspace = value(place, bytes)?,
                5..=8 => preference.alignments[attribute as usize - 5] = value(place, bytes)?,
                _ => return None,
            }
            Some(SUCCESS)
        })())
    })
}

/// The three layouts of a product, where they fit each other and are transposed as is played.
fn fitting(desc: &Desc, layouts: [*mut c_void; 4]) -> Option<[Layout; 3]> {
    let [a, b, c, d] = layouts.map(|layout| get::<Layout>(layout).copied());
    let (a, b, c, d) = (a?, b?, c?, d?);
    let fits = desc.transposed == [1, 0]
        && a.rows == b.rows
        && a.cols == d.rows
        && b.cols == d.cols
        && c == d
        && [a, b].iter().all(|layout| layout.format == d.format)
        && [a, b, d].iter().all(|layout| layout.rows > 0 && layout.stride >= layout.rows as i64);
    fits.then_some([a, b, d])
}

/// An algorithm here is a summary of what it was found for, and the alignments that it may count on.
fn algorithm(desc: &Desc, [a, b, d]: [Layout; 3], alignments: [u32; 4]) -> [u64; 8] {
    let strides = [a, b, d].iter().fold(u64::from(desc.epilogue), |sum, layout| {
        sum.wrapping_mul(1_000_003).wrapping_add(layout.stride as u64)
    });
    let [of_a, of_b, of_c, of_d] = alignments.map(u64::from);
    [a.rows, a.cols, b.cols, strides, of_a << 32 | of_b, of_c << 32 | of_d, d.format as u64, 0xC01D]
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    handle: *mut c_void,
    desc: *mut c_void,
    a: *mut c_void,
    b: *mut c_void,
    c: *mut c_void,
    d: *mut c_void,
    preference: *mut c_void,
    most: c_int,
    results: *mut Heuristic,
    found: *mut c_int,
) -> c_int {
    answer("cublasLtMatmulAlgoGetHeuristic", || {
        status((|| {
            let (desc, preference) = (get::<Desc>(desc)?, get::<Preference>(preference)?);
            let layouts = fitting(desc, [a, b, c, d])?;
            if handle.is_null() || most < 1 || results.is_null() || found.is_null() {
                return None;
            }
            let none = layouts[0].rows >= settings().none_from || preference.workspace < WORKSPACE;
            // SAFETY: not null; cublasLt.h asks for room for `most` results and for one number.
            unsafe {
                found.write(c_int::from(!none));
                if none {
                    return Some(NOT_SUPPORTED);
                }
                results.write(Heuristic {
                    algorithm: algorithm(desc, layouts, preference.alignments),
                    workspace: WORKSPACE as usize,
                    status: SUCCESS,
                    waves: 1.0,
                    reserved: [0; 4],
                });
            }
            Some(SUCCESS)
        })())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmul(
    handle: *mut c_void,
    desc: *mut c_void,
    alpha: *const f32,
    a: u64,
    of_a: *mut c_void,
    b: u64,
    of_b: *mut c_void,
    beta: *const f32,
    c: u64,
    of_c: *mut c_void,
    d: u64,
    of_d: *mut c_void,
    chosen: *const [u64; 8],
    workspace: u64,
    workspace_bytes: usize,
    stream: *mut c_void,
) -> c_int {
    answer("cublasLtMatmul", || {
        status((|| {
            let desc = get::<Desc>(desc)?;
            let layouts = fitting(desc, [of_a, of_b, of_c, of_d])?;
            // SAFETY: cublasLt.h asks for readable numbers and a readable algorithm.
            let (alpha, beta, chosen) = unsafe { (*alpha.as_ref()?, *beta.as_ref()?, *chosen.as_ref()?) };
            let halves = |word: u64| [(word >> 32) as u32, word as u32];
            let [[of_a, of_b], [of_c, of_d]] = [halves(chosen[4]), halves(chosen[5])];
            let promised = [of_a, of_b, of_c, of_d];
            let aligned = [a, b, c, d]
                .iter()
                .zip(promised)
                .all(|(place, bytes)| bytes > 0 && place.is_multiple_of(u64::from(bytes)));
            let as_found = chosen == algorithm(desc, layouts, promised);
            let has_workspace = workspace != 0 && workspace_bytes as u64 >= WORKSPACE;
            if handle.is_null()
                || c != d
                || (alpha, beta) != (1.0, 0.0)
                || !(aligned && as_found && has_workspace)
            {
                return None;
            }
            let bias = match desc.epilogue {
                BIAS if desc.bias == 0 || !desc.bias.is_multiple_of(BIAS_ALIGNMENT) => return None,
                BIAS => Some(desc.bias),
                _ => None,
            };
            Some(enqueue(
                Product { a: (a, layouts[0]), b: (b, layouts[1]), d: (d, layouts[2]), bias },
                workspace,
                stream,
            ))
        })())
    })
}

/// Leaves a product to the stream, for as long as the process lives: a graph may hold it.
fn enqueue(product: Product, workspace: u64, stream: *mut c_void) -> c_int {
    let mut uses = vec![
        [product.a.0, product.a.1.bytes(), 0],
        [product.b.0, product.b.1.bytes(), 0],
        [product.d.0, product.d.1.bytes(), 1],
        [workspace, WORKSPACE, 1],
    ];
    uses.extend(product.bias.map(|bias| [bias, product.bias_layout().bytes(), 0]));
    let argument = Box::into_raw(Box::new(product)).cast();
    if driver::enqueue(stream, c"cublasLtMatmul", &uses, product::run, argument) {
        SUCCESS
    } else {
        EXECUTION_FAILED
    }
}
