//! The driver's cache of compiled kernels, cold or warm, by the environment of a child.

use std::path::Path;

use coldstart_profiles::{JitCache, ModuleLoading};
use tempfile::TempDir;

/// Directories for the driver's cache: one that is kept for the run, and a fresh one whenever a cold one is asked for.
#[derive(Debug)]
pub(crate) struct JitCaches {
    kept: TempDir,
}

/// The environment of one child. A fresh cache is removed with it.
#[derive(Debug)]
pub(crate) struct Environment {
    variables: Vec<(String, String)>,
    _fresh: Option<TempDir>,
}

impl Environment {
    /// Names and values.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }
}

impl JitCaches {
    /// Makes the directory that is kept until this goes.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(JitCaches { kept: directory()? })
    }

    /// The environment of a child that finds the cache in this state.
    ///
    /// # Errors
    /// When there is no place for a fresh directory.
    pub(crate) fn environment(
        &self,
        cache: JitCache,
        loading: ModuleLoading,
    ) -> std::io::Result<Environment> {
        let fresh = match cache {
            JitCache::Cold => Some(directory()?),
            JitCache::Warm => None,
        };
        let path = fresh.as_ref().map_or(self.kept.path(), TempDir::path);
        let variables = [
            ("CUDA_CACHE_PATH", path.display().to_string()),
            // A cache that the user switched off would make warm and cold the same.
            ("CUDA_CACHE_DISABLE", "0".to_owned()),
            ("CUDA_MODULE_LOADING", loading.name().to_ascii_uppercase()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Environment { variables, _fresh: fresh })
    }

    /// The environment of a child whose start is not measured: as little as can be is compiled again.
    pub(crate) fn warm(&self) -> Vec<(String, String)> {
        self.environment(JitCache::Warm, ModuleLoading::Lazy)
            .map_or_else(|_| Vec::new(), |environment| environment.variables)
    }

    /// Whether the driver left anything in the directory that is kept.
    pub(crate) fn holds_something(&self) -> bool {
        holds_something(self.kept.path())
    }
}

fn directory() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("coldstart-jit-").tempdir()
}

fn holds_something(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'e>(variables: &'e [(String, String)], name: &str) -> &'e str {
        &variables.iter().find(|(other, _)| other == name).unwrap().1
    }

    #[test]
    fn a_cold_cache_is_fresh_and_gone_afterwards_and_a_warm_one_is_kept() {
        let caches = JitCaches::new().unwrap();
        let warm = caches.environment(JitCache::Warm, ModuleLoading::Eager).unwrap();
        let kept = value(warm.variables(), "CUDA_CACHE_PATH").to_owned();
        assert_eq!(value(warm.variables(), "CUDA_MODULE_LOADING"), "EAGER");
        assert!(!caches.holds_something());
        std::fs::write(Path::new(&kept).join("index"), "x").unwrap();
        assert!(caches.holds_something());
        assert_eq!(value(&caches.warm(), "CUDA_CACHE_PATH"), kept);
        let cold = caches.environment(JitCache::Cold, ModuleLoading::Lazy).unwrap();
        let fresh = value(cold.variables(), "CUDA_CACHE_PATH").to_owned();
        assert_ne!(fresh, kept);
        assert!(Path::new(&fresh).is_dir() && !holds_something(Path::new(&fresh)));
        drop(cold);
        assert!(!Path::new(&fresh).exists());
        drop((warm, caches));
        assert!(!Path::new(&kept).exists(), "nothing is left behind");
    }
}
