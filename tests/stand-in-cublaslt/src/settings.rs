//! What a test asks for.

use std::sync::OnceLock;

use crate::SETTINGS_VARIABLE;

/// The settings of this process.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) version: usize,
    fail: Option<(String, i32)>,
    pub(crate) none_from: u64,
}

/// Read once.
pub(crate) fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let text = std::env::var(SETTINGS_VARIABLE).unwrap_or_default();
        let value = |name: &str| {
            text.split_whitespace().find_map(|setting| setting.strip_prefix(name)?.strip_prefix('='))
        };
        Settings {
            version: value("version").and_then(|version| version.parse().ok()).unwrap_or(120_405),
            fail: value("fail").and_then(|fail| {
                let (function, code) = fail.split_once(':')?;
                Some((function.to_owned(), code.parse().ok()?))
            }),
            none_from: value("none_from").and_then(|k| k.parse().ok()).unwrap_or(u64::MAX),
        }
    })
}

impl Settings {
    /// The code that a function is to answer with.
    pub(crate) fn failure(&self, function: &str) -> Option<i32> {
        self.fail.as_ref().filter(|(name, _)| name == function).map(|(_, code)| *code)
    }
}
