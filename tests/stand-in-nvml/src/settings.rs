//! What the stand-in was told to answer.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Settings by name; of several values under one name the last counts, but for `fail`, of which all do.
pub(crate) struct Settings {
    values: HashMap<String, String>,
    fails: Vec<Fail>,
}

/// A function that is to fail.
pub(crate) struct Fail {
    pub(crate) function: String,
    pub(crate) code: u32,
    /// From which call on, counted from 0.
    pub(crate) from: u64,
}

impl Settings {
    /// The file beside the library, then the environment.
    pub(crate) fn read() -> Self {
        let file = own_path().map(|path| path.with_file_name(crate::SETTINGS_FILE));
        let file = file.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let variable = std::env::var(crate::SETTINGS_VARIABLE).unwrap_or_default();
        Settings::parse(&format!("{file} {variable}"))
    }

    fn parse(text: &str) -> Self {
        let mut settings = Settings { values: HashMap::new(), fails: Vec::new() };
        for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
            if name == "fail" {
                let mut parts = value.split(':');
                let (Some(function), Some(code)) = (parts.next(), parts.next()) else { continue };
                settings.fails.push(Fail {
                    function: function.to_owned(),
                    code: code.parse().unwrap_or(999),
                    from: parts.next().and_then(|from| from.parse().ok()).unwrap_or(0),
                });
            } else {
                settings.values.insert(name.to_owned(), value.to_owned());
            }
        }
        settings
    }

    /// A number.
    pub(crate) fn number(&self, name: &str, default: u64) -> u64 {
        self.values.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    /// Two numbers with an x between them.
    pub(crate) fn pair(&self, name: &str, default: (u32, u32)) -> (u32, u32) {
        let pair = self.values.get(name).and_then(|value| {
            let (one, two) = value.split_once('x')?;
            Some((one.parse().ok()?, two.parse().ok()?))
        });
        pair.unwrap_or(default)
    }

    /// What a function's nth call is to fail with.
    pub(crate) fn failure(&self, function: &str, call: u64) -> Option<u32> {
        self.fails.iter().find(|fail| fail.function == function && call >= fail.from).map(|fail| fail.code)
    }
}

/// Where this library lies.
fn own_path() -> Option<PathBuf> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: dladdr fills the struct for an address inside of this library.
    let found = unsafe { libc::dladdr(own_path as *const libc::c_void, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr's file name is a C string that lives as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}
