//! Finding cuBLASLt and its functions.
//!
//! cudarc's own loader knows the library's names of one major version of CUDA and panics where it finds none, so the library
//! is opened here, by names of both that are in use, and every function is looked for at once.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where to look for the library: itself, or a directory with it.
pub(super) const VARIABLE: &str = "COLDSTART_CUBLASLT";
/// Newest first. One that is newer than the driver fails when its handle is made, and the next is tried.
const NAMES: [&str; 3] = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"];

/// A status of the library; 0 is success.
pub(super) type Status = c_int;
/// A handle, description, layout or preference.
pub(super) type Opaque = *mut c_void;

/// `cublasLtMatmulAlgo_t`.
pub(super) type Algorithm = [u64; 8];

/// `cublasLtMatmulHeuristicResult_t`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Heuristic {
    pub(super) algorithm: Algorithm,
    pub(super) workspace: usize,
    pub(super) status: Status,
    pub(super) waves: f32,
    pub(super) reserved: [c_int; 4],
}

macro_rules! functions {
    ($($field:ident = $name:literal : fn($($argument:ty),* $(,)?) -> $result:ty;)*) => {
        /// The functions of the library that are called here, under their names without `cublasLt`.
        #[derive(Debug)]
        pub(super) struct Functions {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            /// All of them, or the name of the first that is missing.
            fn of(library: Handle) -> Result<Functions, &'static str> {
                Ok(Functions {
                    $($field: {
                        let address = library.symbol(concat!($name, "\0")).ok_or($name)?;
                        // SAFETY: the library exports its function of that name, whose C declaration in cublasLt.h this is,
                        // the same in CUDA 12 and 13; and it is never closed.
                        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) -> $result>(address) }
                    },)*
                })
            }
        }
    };
}

functions! {
    create = "cublasLtCreate": fn(*mut Opaque) -> Status;
    destroy = "cublasLtDestroy": fn(Opaque) -> Status;
    version = "cublasLtGetVersion": fn() -> usize;
    // layout, type, rows, columns, stride
    layout_create = "cublasLtMatrixLayoutCreate": fn(*mut Opaque, c_int, u64, u64, i64) -> Status;
    layout_destroy = "cublasLtMatrixLayoutDestroy": fn(Opaque) -> Status;
    // description, compute type, scale type
    desc_create = "cublasLtMatmulDescCreate": fn(*mut Opaque, c_int, c_int) -> Status;
    desc_destroy = "cublasLtMatmulDescDestroy": fn(Opaque) -> Status;
    // description, attribute, value, bytes
    desc_set = "cublasLtMatmulDescSetAttribute": fn(Opaque, c_int, *const c_void, usize) -> Status;
    preference_create = "cublasLtMatmulPreferenceCreate": fn(*mut Opaque) -> Status;
    preference_destroy = "cublasLtMatmulPreferenceDestroy": fn(Opaque) -> Status;
    preference_set = "cublasLtMatmulPreferenceSetAttribute": fn(Opaque, c_int, *const c_void, usize) -> Status;
    // handle, description, layouts of A, B, C, D, preference, how many, results, found
    heuristic = "cublasLtMatmulAlgoGetHeuristic": fn(
        Opaque, Opaque, Opaque, Opaque, Opaque, Opaque, Opaque, c_int, *mut Heuristic, *mut c_int,
    ) -> Status;
    // handle, description, alpha, A, layout, B, layout, beta, C, layout, D, layout, algorithm, workspace, bytes, stream
    matmul = "cublasLtMatmul": fn(
        Opaque, Opaque, *const c_void, u64, Opaque, u64, Opaque, *const c_void, u64, Opaque, u64, Opaque,
        *const Algorithm, u64, usize, *mut c_void,
    ) -> Status;
}

/// An open library. It is never closed: what it has loaded onto the device lives as long as the context.
#[derive(Debug, Clone, Copy)]
struct Handle(*mut c_void);

impl Handle {
    fn open(name: &OsStr) -> Result<Handle, String> {
        let Ok(name) = CString::new(name.as_bytes()) else {
            return Err("a name with a zero byte".to_owned());
        };
        // SAFETY: the name ends with a zero. What the library runs when it is loaded is its own.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        if !handle.is_null() {
            return Ok(Handle(handle));
        }
        // SAFETY: takes nothing; answers with null or a string that lives until the next call of this thread.
        let said = unsafe { libc::dlerror() };
        if said.is_null() {
            return Err("the loader does not say why".to_owned());
        }
        // SAFETY: not null, see above.
        Err(unsafe { CStr::from_ptr(said) }.to_string_lossy().into_owned())
    }

    /// The address of a symbol; `name` ends with a zero.
    fn symbol(self, name: &'static str) -> Option<*mut c_void> {
        // SAFETY: the library is open, and the name ends with a zero.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr().cast::<c_char>()) };
        (!address.is_null()).then_some(address)
    }
}

impl Functions {
    /// Opens a library and finds all functions, or says what went wrong.
    pub(super) fn open(name: &OsStr) -> Result<Functions, String> {
        let library = Handle::open(name)?;
        Functions::of(library).map_err(|missing| format!("it has no {missing}"))
    }

    /// The library's version as people write it: `12.4.5`.
    pub(super) fn version_name(&self) -> String {
        // SAFETY: takes nothing and only answers.
        dotted(unsafe { (self.version)() })
    }
}

/// 120405 is 12.4.5.
fn dotted(version: usize) -> String {
    format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

/// What to hand to the loader, in this order: where the variable leads, or the library's names.
pub(super) fn candidates(variable: Option<&OsStr>) -> Vec<OsString> {
    let Some(place) = variable.filter(|place| !place.is_empty()) else {
        return NAMES.map(OsString::from).into();
    };
    let place = Path::new(place);
    if !place.is_dir() {
        return vec![place.as_os_str().to_owned()];
    }
    let mut directories = vec![place.to_owned(), place.join("lib"), place.join("lib64")];
    directories.extend(packages(place));
    // A Python environment.
    for python in children(&place.join("lib")) {
        directories.extend(packages(&python.join("site-packages")));
    }
    let inside = |name: &'static str| directories.iter().map(move |directory| directory.join(name));
    NAMES.into_iter().flat_map(inside).filter(|path| path.exists()).map(PathBuf::into_os_string).collect()
}

/// The `lib` of each of NVIDIA's packages in a directory of Python packages.
fn packages(directory: &Path) -> Vec<PathBuf> {
    children(&directory.join("nvidia")).into_iter().map(|package| package.join("lib")).collect()
}

/// What is in a directory, sorted; nothing where it can't be read.
fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn versions_are_those_of_the_headers() {
        assert_eq!(dotted(120_405), "12.4.5");
        assert_eq!(dotted(130_102), "13.1.2");
    }

    #[test]
    fn the_heuristic_is_as_large_as_the_headers_say() {
        assert_eq!(size_of::<Heuristic>(), 96);
    }

    #[test]
    fn a_variable_leads_to_a_library_or_a_directory() {
        assert_eq!(candidates(None), NAMES.map(OsString::from));
        assert_eq!(candidates(Some(OsStr::new(""))), NAMES.map(OsString::from));
        assert_eq!(candidates(Some(OsStr::new("/x/libcublasLt.so.12"))), ["/x/libcublasLt.so.12"]);

        let root = std::env::temp_dir().join(format!("coldstart-cublaslt-{}", std::process::id()));
        let site = root.join("lib/python3.12/site-packages/nvidia");
        for (package, name) in [("cublas", NAMES[1]), ("cu13", NAMES[0])] {
            let directory = site.join(package).join("lib");
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(name), "").unwrap();
        }
        let expected = [site.join("cu13/lib").join(NAMES[0]), site.join("cublas/lib").join(NAMES[1])];
        // The environment, its packages, one of them, and the directory of the library itself.
        assert_eq!(candidates(Some(root.as_os_str())), expected);
        assert_eq!(candidates(Some(root.join("lib/python3.12/site-packages").as_os_str())), expected);
        assert_eq!(candidates(Some(site.join("cublas").as_os_str())), expected[1..]);
        assert_eq!(candidates(Some(site.join("cublas/lib").as_os_str())), expected[1..]);
        assert!(candidates(Some(site.as_os_str())).is_empty());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn what_is_no_library_is_refused_with_the_reason() {
        let missing = Functions::open(OsStr::new("/nowhere/libcublasLt.so.12")).unwrap_err();
        assert!(missing.contains("/nowhere/libcublasLt.so.12"), "{missing}");
        // The C library is one, but not this one.
        let other = Functions::open(OsStr::new("libc.so.6")).unwrap_err();
        assert_eq!(other, "it has no cublasLtCreate");
    }
}
