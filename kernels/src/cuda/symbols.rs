//! The driver's functions that are called here.

use std::ffi::CString;

/// Every function of the driver that this crate calls. cudarc looks each up when it is first called and panics where the
/// library has none, so all are looked for when the library is opened.
pub(super) const CALLED: &[&str] = &[
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceGetUuid",
    "cuDeviceGetUuid_v2",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuDriverGetVersion",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuFuncSetAttribute",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuGraphUpload",
    "cuInit",
    "cuLaunchKernel",
    "cuMemAlloc_v2",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemHostRegister_v2",
    "cuMemHostUnregister",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuModuleGetFunction",
    "cuModuleGetLoadingMode",
    "cuModuleLoadDataEx",
    "cuModuleUnload",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
];

/// The first of `names` that `exported` does not find.
pub(super) fn missing(names: &[&'static str], exported: impl Fn(&CString) -> bool) -> Option<&'static str> {
    names.iter().copied().find(|name| CString::new(*name).is_ok_and(|name| !exported(&name)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The functions of the driver that the sources in a directory call: `sys::cu` and a capital, up to the parenthesis.
    fn called(directory: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                called(&path, names);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("sys::cu") {
                let name: String =
                    text[at + 5..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if name.chars().nth(2).is_some_and(char::is_uppercase) {
                    names.insert(name);
                }
            }
            let other_layer = ["driver", "result"].join("::");
            assert!(!text.contains(&other_layer), "{}: calls past the list", path.display());
        }
    }

    #[test]
    fn the_list_is_what_the_sources_call() {
        let mut found = BTreeSet::new();
        called(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let listed: BTreeSet<String> = CALLED.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed.len(), CALLED.len(), "a name is listed twice");
        assert_eq!(listed, found);
    }

    #[test]
    fn the_first_missing_one_is_named() {
        assert_eq!(missing(&["a", "b", "c"], |name| name.as_bytes() == b"a"), Some("b"));
        assert_eq!(missing(&["a", "b"], |_| true), None);
    }
}
