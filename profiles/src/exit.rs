//! Exit codes of the program. They are part of the contract with scripts and CI.

/// Everything that was asked for was done.
pub const OK: u8 = 0;
/// Gate: a regression.
pub const REGRESSION: u8 = 1;
/// Wrong usage: a flag, a value, a file that was named and can't be used.
pub const USAGE: u8 = 2;
/// Gate: cannot tell, or the machine is unfit to be measured now.
pub const UNFIT: u8 = 3;
/// Gate: no baseline, or one that can't be compared with.
pub const INCOMPARABLE: u8 = 4;
/// A requested phase failed, or no plan can meet the service level.
pub const FAILED: u8 = 5;
/// An error of the program itself.
pub const INTERNAL: u8 = 6;
/// Interrupted; a partial profile was written.
pub const INTERRUPTED: u8 = 130;
