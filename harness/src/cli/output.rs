//! Where text goes: results to stdout, progress and diagnostics to stderr.

use std::io::{IsTerminal as _, Write as _};

use coldstart_reports::{Style, harmless_json};
use tracing_subscriber::EnvFilter;

use super::args::Color;

/// Sends log lines to stderr. `RUST_LOG` overrides the number of `-v`.
pub(super) fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "coldstart=info,warn",
        2 => "coldstart=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .without_time()
        .with_target(false)
        .try_init();
}

/// How text for stdout looks.
pub(super) fn style(color: Color) -> Style {
    let terminal = std::io::stdout().is_terminal();
    Style {
        width: width(terminal),
        color: match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && no_color_is_unset() && !term_is_dumb(),
        },
        unicode: locale_is_unicode(),
    }
}

/// Columns of the terminal; `COLUMNS` overrides; 100 where stdout is a file or a pipe.
fn width(terminal: bool) -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || terminal.then(terminal_columns).flatten();
    asked.or_else(seen).unwrap_or(100).clamp(40, 200)
}

fn terminal_columns() -> Option<usize> {
    // SAFETY: winsize is plain data for which all zeros is a value.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes one winsize through the pointer, which is valid for it.
    let answered = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (answered == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

fn no_color_is_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn term_is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether the locale's encoding is UTF-8; without any locale set (containers, CI) it is taken to be.
fn locale_is_unicode() -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8") || locale == "c" || locale == "posix"
        })
}

/// Writes JSON to stdout, harmless on a terminal whatever it quotes.
pub(super) fn print_json(json: &str) -> std::io::Result<()> {
    print(&harmless_json(json))
}

/// Writes to stdout. A reader that has gone away (`coldstart report … | head`) is no error, nor is a terminal.
pub(super) fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(()),
        other => other,
    }
}
