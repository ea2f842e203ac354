//! Products by cuBLASLt.
//!
//! Its matrices are column-major, so a row-major y = x·wᵀ is given to it as yᵀ = (wᵀ)ᵀ·xᵀ: A is `w` as it lies, read as a
//! column-major [k, n] and transposed, B is `x` read as [k, m], D is `y` read as [n, m], whose column of biases is the row
//! that is added to each row of y. The algorithm for a product is asked for once, when it is planned.
//!
//! Reference: <https://docs.nvidia.com/cuda/cublas/index.html#using-the-cublaslt-api>.

use std::ffi::{OsStr, c_int, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cudarc::cublaslt::sys as lt;
use cudarc::driver::sys;

use super::library::{Algorithm, Functions, Heuristic, Opaque, Status, VARIABLE, candidates};
use super::{Key, Operands, address, own};
use crate::cuda::device::CudaDevice;
use crate::cuda::memory::CudaBuffer;
use crate::cuda::primary::Primary;
use crate::{Dtype, Error, Memory as _, Result};

/// Bytes of workspace from compute capability 9.0 on, and before: what NVIDIA recommends for cuBLAS.
const WORKSPACE: [usize; 2] = [32 << 20, 4 << 20];
/// What the bias must be aligned to for the library to add it: kernels read it in vectors without asking.
const BIAS_ALIGNMENT: u32 = 16;
/// `CUBLAS_OP_T`.
const TRANSPOSED: c_int = 1;

/// cuBLASLt as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CublasLt {
    /// Its version: `12.4.5`.
    pub version: String,
    /// The name or path under which it was opened.
    pub path: PathBuf,
    /// Opening the library, making a handle and allocating the workspace.
    pub load: Duration,
}

/// An open library with a handle on one device.
#[derive(Debug)]
pub(super) struct Lt {
    functions: Arc<Functions>,
    handle: Opaque,
    workspace: CudaBuffer,
    report: CublasLt,
    primary: Arc<Primary>,
}

// SAFETY: handles are only passed to the library, which lets any thread use them as long as they take turns, and they are
// behind the lock of `Products`.
unsafe impl Send for Lt {}

/// The descriptions of a product, and the algorithm for it.
#[derive(Debug)]
pub(super) struct Planned {
    functions: Arc<Functions>,
    name: String,
    desc: Opaque,
    /// Of A, B and D.
    layouts: [Opaque; 3],
    algorithm: Algorithm,
    workspace: usize,
    /// Whether the library adds the bias; otherwise it is added afterwards where there is one.
    adds_bias: bool,
}

// SAFETY: as for `Lt`.
unsafe impl Send for Planned {}

/// An error of the library, or of looking for it.
pub(super) fn failed(why: String) -> Error {
    Error::CublasLt { why }
}

pub(super) fn not_loaded() -> Error {
    failed("it was not loaded: call load_cublaslt first".to_owned())
}

/// The name of a status.
fn status_name(status: Status) -> &'static str {
    match status {
        1 => "CUBLAS_STATUS_NOT_INITIALIZED",
        3 => "CUBLAS_STATUS_ALLOC_FAILED",
        7 => "CUBLAS_STATUS_INVALID_VALUE",
        8 => "CUBLAS_STATUS_ARCH_MISMATCH",
        11 => "CUBLAS_STATUS_MAPPING_ERROR",
        13 => "CUBLAS_STATUS_EXECUTION_FAILED",
        14 => "CUBLAS_STATUS_INTERNAL_ERROR",
        NOT_SUPPORTED => "CUBLAS_STATUS_NOT_SUPPORTED",
        16 => "CUBLAS_STATUS_LICENSE_ERROR",
        _ => "an unknown status",
    }
}

const NOT_SUPPORTED: Status = 15;

fn check(function: &str, status: Status) -> Result<()> {
    match status {
        0 => Ok(()),
        status => Err(failed(format!("{function} answers {status}, {}", status_name(status)))),
    }
}

impl Lt {
    /// Opens the first library that works on this device.
    pub(super) fn load(device: &CudaDevice) -> Result<Lt> {
        let begin = Instant::now();
        let primary = Arc::clone(device.primary());
        primary.refuse_recording(format_args!("load cuBLASLt"))?;
        let variable = std::env::var_os(VARIABLE);
        let mut tried = Vec::new();
        for name in candidates(variable.as_deref()) {
            let (functions, handle) = match open(&primary, &name) {
                Ok(found) => found,
                Err(why) => {
                    let name = name.display().to_string();
                    // The loader names what it can't open.
                    tried.push(if why.starts_with(&name) { why } else { format!("{name}: {why}") });
                    continue;
                }
            };
            let capability = device.facts()?.capability;
            let bytes = if capability.0 >= 9 { WORKSPACE[0] } else { WORKSPACE[1] };
            let workspace = CudaBuffer::new(&primary, bytes).inspect_err(|_| {
                // SAFETY: the handle was made and is used nowhere else.
                unsafe { (functions.destroy)(handle) };
            })?;
            let report =
                CublasLt { version: functions.version_name(), path: name.into(), load: begin.elapsed() };
            return Ok(Lt { functions: Arc::new(functions), handle, workspace, report, primary });
        }
        Err(failed(nothing_found(variable.as_deref(), &tried)))
    }

    /// What it is.
    pub(super) fn report(&self) -> &CublasLt {
        &self.report
    }

    /// Describes a product and asks for an algorithm; `None` where the library has none, or not for these formats.
    pub(super) fn plan(&self, device: &CudaDevice, key: &Key) -> Result<Option<Planned>> {
        let one_format = key.x.dtype == key.w.dtype && key.x.dtype == key.y.dtype;
        if !one_format || key.k == 0 {
            return Ok(None);
        }
        device.primary().attempt(format_args!("plan a product"), || sys::CUresult::CUDA_SUCCESS)?.ok();
        let adds_bias = key.bias.is_some_and(|b| b.dtype == key.y.dtype && b.alignment >= BIAS_ALIGNMENT);
        let mut planned = Planned {
            functions: Arc::clone(&self.functions),
            name: format!("cuBLASLt {}", self.report.version),
            desc: ptr::null_mut(),
            layouts: [ptr::null_mut(); 3],
            algorithm: [0; 8],
            workspace: 0,
            adds_bias,
        };
        planned.describe(key)?;
        let found = planned.ask(self.handle, key, self.workspace.len())?;
        Ok(found.map(|found| {
            planned.algorithm = found.algorithm;
            planned.workspace = found.workspace;
            planned
        }))
    }

    /// Enqueues a product on the compute stream.
    pub(super) fn run(
        &self,
        device: &CudaDevice,
        planned: &Planned,
        operands: &mut Operands<'_>,
    ) -> Result<()> {
        // Reports what failed before, and makes the context current: the library works in the current one.
        let ready = device.primary().attempt(format_args!("multiply"), || sys::CUresult::CUDA_SUCCESS)?;
        ready.map_err(|status| device.primary().error(format_args!("multiply"), status))?;
        let [x, w, y] = [&operands.x, &operands.w, &operands.y.as_ref()].map(address);
        if let Some(bias) = operands.bias.as_ref().filter(|_| planned.adds_bias) {
            planned
                .set(lt::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &address(bias))?;
        }
        let (alpha, beta) = (1.0_f32, 0.0_f32);
        let [a, b, d] = planned.layouts;
        // SAFETY: the handle, the descriptions and the stream are alive; the operands lie where the layouts say, which was
        // checked against their buffers; the workspace is as large as it says, and only the compute stream uses it.
        let status = unsafe {
            (self.functions.matmul)(
                self.handle,
                planned.desc,
                ptr::from_ref(&alpha).cast(),
                w,
                a,
                x,
                b,
                ptr::from_ref(&beta).cast(),
                y,
                d,
                y,
                d,
                &planned.algorithm,
                self.workspace.address(),
                planned.workspace,
                device.compute_handle().cast(),
            )
        };
        check("cublasLtMatmul", status)?;
        match &operands.bias {
            Some(bias) if !planned.adds_bias => own::add_bias(device, bias, &mut operands.y),
            _ => Ok(()),
        }
    }
}

impl Drop for Lt {
    fn drop(&mut self) {
        // SAFETY: the context is current. Nothing that runs may lose the workspace.
        self.primary.release(format_args!("wait for products"), || unsafe { sys::cuCtxSynchronize() });
        // SAFETY: the handle was made by the library and is used nowhere else. Nobody is left to hear of a failure.
        let _ = unsafe { (self.functions.destroy)(self.handle) };
    }
}

/// Opens a library and makes a handle, which is where a library that is too new for the driver fails.
fn open(primary: &Primary, name: &OsStr) -> Result<(Functions, Opaque), String> {
    let functions = Functions::open(name)?;
    primary.make_current().map_err(|status| status.to_string())?;
    let mut handle = ptr::null_mut();
    // SAFETY: `handle` is writable, and a context is current.
    match unsafe { (functions.create)(&mut handle) } {
        0 => Ok((functions, handle)),
        status => Err(format!(
            "version {}, cublasLtCreate answers {status}, {}",
            functions.version_name(),
            status_name(status)
        )),
    }
}

/// Why there is no library, and what would change that.
fn nothing_found(variable: Option<&OsStr>, tried: &[String]) -> String {
    let remedy = format!("set {VARIABLE} to the library or to a directory with it");
    match (variable, tried) {
        (Some(place), []) => {
            format!("there is no libcublasLt.so in {} ({VARIABLE}): {remedy}", place.display())
        }
        _ => format!("none was found that works here ({}): {remedy}", tried.join("; ")),
    }
}

/// `cudaDataType_t`.
fn data_type(dtype: Dtype) -> c_int {
    let data_type = match dtype {
        Dtype::F32 => lt::cudaDataType_t::CUDA_R_32F,
        Dtype::F16 => lt::cudaDataType_t::CUDA_R_16F,
        Dtype::Bf16 => lt::cudaDataType_t::CUDA_R_16BF,
    };
    data_type as c_int
}

impl Planned {
    /// What it is, for the record.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes the description and the layouts. Sums are in f32, of f32 operands too: TF32 would drop 13 of their bits.
    fn describe(&mut self, key: &Key) -> Result<()> {
        let compute = lt::cublasComputeType_t::CUBLAS_COMPUTE_32F as c_int;
        // SAFETY: `desc` is writable.
        let status = unsafe { (self.functions.desc_create)(&mut self.desc, compute, data_type(Dtype::F32)) };
        check("cublasLtMatmulDescCreate", status)?;
        self.set(lt::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        if self.adds_bias {
            let epilogue = lt::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as u32;
            self.set(lt::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        }
        let shapes = [(key.k, key.n, key.w), (key.k, key.m, key.x), (key.n, key.m, key.y)];
        for (layout, (rows, cols, operand)) in self.layouts.iter_mut().zip(shapes) {
            let (format, stride) = (data_type(operand.dtype), operand.stride as i64);
            // SAFETY: `layout` is writable.
            let status =
                unsafe { (self.functions.layout_create)(layout, format, rows as u64, cols as u64, stride) };
            check("cublasLtMatrixLayoutCreate", status)?;
        }
        Ok(())
    }

    /// Sets an attribute of the description.
    fn set<T>(&self, attribute: lt::cublasLtMatmulDescAttributes_t, value: &T) -> Result<()> {
        let value = ptr::from_ref(value).cast::<c_void>();
        // SAFETY: the description is alive, and the value is readable and copied.
        let status =
            unsafe { (self.functions.desc_set)(self.desc, attribute as c_int, value, size_of::<T>()) };
        check("cublasLtMatmulDescSetAttribute", status)
    }

    /// The library's first choice of algorithm.
    fn ask(&self, handle: Opaque, key: &Key, workspace: usize) -> Result<Option<Heuristic>> {
        use lt::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let mut preference = ptr::null_mut();
        // SAFETY: `preference` is writable.
        let status = unsafe { (self.functions.preference_create)(&mut preference) };
        check("cublasLtMatmulPreferenceCreate", status)?;
        let set = |attribute: Attribute, value: *const c_void, bytes: usize| {
            // SAFETY: the preference is alive, and `bytes` bytes of the value are readable and copied.
            let status =
                unsafe { (self.functions.preference_set)(preference, attribute as c_int, value, bytes) };
            check("cublasLtMatmulPreferenceSetAttribute", status)
        };
        let workspace = workspace as u64;
        // By default the library takes operands to be aligned to 256 bytes, which views need not be.
        let alignments = [
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.w.alignment),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.x.alignment),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.y.alignment),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.y.alignment),
        ];
        let most = Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let prepared = set(most, ptr::from_ref(&workspace).cast(), 8).and_then(|()| {
            alignments
                .iter()
                .try_for_each(|(attribute, bytes)| set(*attribute, ptr::from_ref(bytes).cast(), 4))
        });
        let mut found = Heuristic::default();
        let mut count = 0;
        let [a, b, d] = self.layouts;
        let status = prepared.map(|()| {
            // SAFETY: the handle and all descriptions are alive; there is room for one result.
            unsafe {
                (self.functions.heuristic)(
                    handle, self.desc, a, b, d, d, preference, 1, &mut found, &mut count,
                )
            }
        });
        // SAFETY: the preference was made above and is used nowhere else.
        let _ = unsafe { (self.functions.preference_destroy)(preference) };
        match status? {
            NOT_SUPPORTED => Ok(None),
            0 if count < 1 || found.status != 0 => Ok(None),
            status => check("cublasLtMatmulAlgoGetHeuristic", status).map(|()| Some(found)),
        }
    }
}

impl Drop for Planned {
    fn drop(&mut self) {
        for layout in self.layouts.into_iter().filter(|layout| !layout.is_null()) {
            // SAFETY: it was made by the library and is used nowhere else; a product that is under way has its own copy.
            let _ = unsafe { (self.functions.layout_destroy)(layout) };
        }
        if !self.desc.is_null() {
            // SAFETY: as above.
            let _ = unsafe { (self.functions.desc_destroy)(self.desc) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_was_tried_and_what_to_do() {
        let error = |why| failed(why).to_string();
        assert_eq!(
            error(nothing_found(None, &["libcublasLt.so.13: no such file".to_owned()])),
            "use cuBLASLt: none was found that works here (libcublasLt.so.13: no such file): set COLDSTART_CUBLASLT to the \
             library or to a directory with it"
        );
        let empty = error(nothing_found(Some(OsStr::new("/opt")), &[]));
        assert!(empty.contains("no libcublasLt.so in /opt"), "{empty}");
        let status = check("cublasLtMatmul", 14).unwrap_err().to_string();
        assert_eq!(status, "use cuBLASLt: cublasLtMatmul answers 14, CUBLAS_STATUS_INTERNAL_ERROR");
        assert!(check("cublasLtMatmul", 0).is_ok());
    }

    #[test]
    fn numbers_are_those_of_the_headers() {
        assert_eq!(Dtype::ALL.map(data_type), [0, 2, 14]);
        assert_eq!(lt::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as u32, 4);
        assert_eq!(lt::cublasComputeType_t::CUBLAS_COMPUTE_32F as c_int, 68);
        assert_eq!(lt::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED as Status, NOT_SUPPORTED);
    }
}
