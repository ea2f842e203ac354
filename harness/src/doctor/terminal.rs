//! What the terminal can show.

use std::ffi::OsString;
use std::io::IsTerminal;

use coldstart_profiles::Check;

use super::check::Area;

const AREA: Area = Area::Host;
/// The waterfall of phases needs this many columns.
const WIDE_ENOUGH: u16 = 80;

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Terminal {
    /// Whether the result goes to a terminal.
    stdout: bool,
    /// Whether progress goes to one.
    stderr: bool,
    columns: Option<u16>,
    utf8: bool,
}

pub(super) fn check() -> Check {
    let stdout = std::io::stdout();
    judge(Terminal {
        stdout: stdout.is_terminal(),
        stderr: std::io::stderr().is_terminal(),
        columns: rustix::termios::tcgetwinsize(&stdout)
            .ok()
            .map(|size| size.ws_col)
            .filter(|columns| *columns > 0),
        utf8: is_utf8(["LC_ALL", "LC_CTYPE", "LANG"].map(std::env::var_os)),
    })
}

/// By locale(7) the first of LC_ALL, LC_CTYPE and LANG that is set and not empty counts.
fn is_utf8(variables: [Option<OsString>; 3]) -> bool {
    let locale = variables.into_iter().flatten().find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.ends_with("utf-8") || locale.ends_with("utf8")
}

fn judge(terminal: Terminal) -> Check {
    let name = "terminal";
    let progress = if terminal.stderr { "progress bars" } else { "no progress bars (stderr is no terminal)" };
    if !terminal.stdout {
        return AREA.ok(name, format!("stdout is no terminal: plain tables, {progress}"));
    }
    let width = terminal
        .columns
        .map(|columns| format!("{columns} columns"))
        .unwrap_or_else(|| "unknown width".to_owned());
    let found = format!("{width}, {progress}");
    if terminal.columns.is_some_and(|columns| columns < WIDE_ENOUGH) {
        return AREA.limited(name, found, format!("widen it to {WIDE_ENOUGH} columns for whole tables"));
    }
    if !terminal.utf8 {
        return AREA.limited(name, format!("{found}, no UTF-8 locale"), "set LANG=C.UTF-8 for bars and µs");
    }
    AREA.ok(name, found)
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::CheckStatus::{Limited, Ok};

    use super::*;

    #[test]
    fn terminals() {
        let full = Terminal { stdout: true, stderr: true, columns: Some(120), utf8: true };
        for (terminal, status, says) in [
            (full, Ok, "120 columns, progress bars"),
            (Terminal { columns: Some(60), ..full }, Limited, "60 columns"),
            (Terminal { utf8: false, ..full }, Limited, "no UTF-8"),
            (Terminal { columns: None, ..full }, Ok, "unknown width"),
            (Terminal { stdout: false, stderr: false, ..full }, Ok, "stdout is no terminal"),
        ] {
            let check = judge(terminal);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains(says), "{check:?}");
        }
    }

    #[test]
    fn locales() {
        let some = |text: &str| Some(OsString::from(text));
        for (variables, utf8) in [
            ([None, None, some("C.UTF-8")], true),
            ([None, None, some("en_US.utf8")], true),
            ([some("C"), None, some("C.UTF-8")], false),
            ([some(""), None, some("C.UTF-8")], true),
            ([None, None, None], false),
        ] {
            assert_eq!(is_utf8(variables.clone()), utf8, "{variables:?}");
        }
    }
}
