//! Plays the part of libcublasLt.so in tests, on the stand-in CUDA driver: products in column-major order, computed on the
//! CPU when the stream comes to them, and recorded into graphs.
//!
//! It exports the functions that coldstart calls, with the signatures of cublasLt.h, and is stricter than the real library:
//! a product must be given the algorithm that was found for exactly its layouts, operands that are aligned as was
//! promised when that was asked for, and a workspace. The environment variable `COLDSTART_STAND_IN_CUBLASLT` holds settings,
//! separated by spaces:
//!
//! | setting | says | default |
//! |---|---|---|
//! | `version` | what `cublasLtGetVersion` answers | 120405 |
//! | `fail` | `function:code`: that function answers with the code | none |
//! | `none_from` | no algorithm for products of that many columns of k and more | never |

mod driver;
mod exports;
mod product;
mod settings;

use std::path::PathBuf;

/// The environment variable with settings.
pub const SETTINGS_VARIABLE: &str = "COLDSTART_STAND_IN_CUBLASLT";

/// The library, which cargo has built beside the test.
///
/// # Errors
/// When this program does not know where it lies.
pub fn library() -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("libcoldstart_stand_in_cublaslt.so"))
}
