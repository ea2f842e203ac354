//! What the program tells people on stderr, beside its results.

use std::fmt::Display;
use std::io::Write as _;

use coldstart_reports::harmless;

/// Says one thing on a line of its own.
///
/// A terminal that is gone must not end what it can no longer hear of: `eprintln!` would panic there, and with it the
/// cleaning up after a hang-up. Whatever the text quotes of files, engines and servers, the terminal does not obey it.
pub(crate) fn say(text: impl Display) {
    show(format_args!("coldstart: {}\n", harmless(&text.to_string())));
}

/// Shows text as it is.
pub(crate) fn show(text: impl Display) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}
