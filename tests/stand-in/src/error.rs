//! Why there is no stand-in.

use std::fmt;

/// Why there is no stand-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The machine has no C++ compiler: tests are skipped, unless they are required.
    NoCompiler,
    /// What it is made of is wrong, such as a kernel that does not compile: tests fail.
    Broken(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoCompiler => f.write_str("there is no C++ compiler: install g++ or clang++, or set CXX"),
            Error::Broken(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(what: String) -> Self {
        Error::Broken(what)
    }
}
