//! The phases of a GPU before its first allocation: `driver_init`, `context_create`, `module_load`.

use coldstart_kernels::cuda::{Context, CudaDevice, Driver, Loading};
use coldstart_profiles::{
    Bytes, Detail, DriverConditions, DriverDetail, ModuleDetail, ModuleLoading, Nanos, Params, Phase, Reading,
};

use super::forward::Began;
use crate::trial::ChildError;

/// From before the driver's library is opened, to the return of `cuInit`.
///
/// # Errors
/// When there is no driver, or it can't be used.
pub(crate) fn driver_init(
    conditions: DriverConditions,
    began: Began,
) -> Result<(Driver, Reading), ChildError> {
    let begin = began.elapsed();
    let loaded = Driver::load()?;
    let detail = DriverDetail { open_ns: Nanos::from(loaded.open), init_ns: Nanos::from(loaded.init) };
    let params = Params::new().with("driver_state", conditions.driver_state_name());
    let reading = reading(Phase::DriverInit, params, begin, began, Some(Detail::Driver(detail)));
    Ok((loaded.driver, reading))
}

/// From before the primary context is retained, to the return of a synchronising no-op. How the driver loads kernels is
/// asked afterwards: the key says what it does, not what it was asked for.
///
/// # Errors
/// When there is no such GPU, or it gives no context: another process has it for itself, or it is out of memory.
pub(crate) fn context_create(
    driver: Driver,
    index: usize,
    conditions: DriverConditions,
    began: Began,
) -> Result<(Context, ModuleLoading, Reading), ChildError> {
    let begin = began.elapsed();
    let context = Context::create(driver, index)?;
    let mut reading = reading(Phase::ContextCreate, Params::new(), begin, began, None);
    let loading = match context.loading()? {
        Loading::Lazy => ModuleLoading::Lazy,
        Loading::Eager => ModuleLoading::Eager,
    };
    reading.params =
        Params::new().with("driver_state", conditions.driver_state_name()).with("loading", loading);
    Ok((context, loading, reading))
}

/// From PTX handed to the driver, to all functions resolved.
///
/// # Errors
/// When the driver rejects the kernels; its log is in the error.
pub(crate) fn module_load(
    context: Context,
    loading: ModuleLoading,
    conditions: DriverConditions,
    began: Began,
) -> Result<(CudaDevice, Reading), ChildError> {
    let begin = began.elapsed();
    let (device, report) = context.load_kernels()?;
    let detail = ModuleDetail {
        load_ns: Nanos::from(report.load),
        resolve_ns: Nanos::from(report.resolve),
        kernels: report.kernels as u64,
        ptx_bytes: Bytes::new(report.bytes as u64),
    };
    let params = Params::new().with("jit_cache", conditions.jit_cache).with("loading", loading);
    Ok((device, reading(Phase::ModuleLoad, params, begin, began, Some(Detail::Module(detail)))))
}

/// A reading that ends now. There is no device clock before there is a device.
fn reading(phase: Phase, params: Params, begin: Nanos, began: Began, detail: Option<Detail>) -> Reading {
    Reading {
        phase,
        params,
        begin_ns: begin,
        duration_ns: began.elapsed().saturating_sub(begin),
        device_ns: None,
        work: None,
        mark: None,
        detail,
    }
}
