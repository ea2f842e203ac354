//! Headings.

use crate::grid::paragraph;
use crate::style::{Style, Tone};

/// A heading with its conditions behind it, then the body. Nothing without a body.
pub(crate) fn section(style: &Style, title: &str, aside: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    let one_line = style.clean(title).chars().count() + style.clean(aside).chars().count() + 2;
    let head = match aside {
        "" => format!("{}\n", style.paint(Tone::Strong, title)),
        _ if one_line <= style.columns() => {
            format!("{}  {}\n", style.paint(Tone::Strong, title), style.paint(Tone::Faint, aside))
        }
        _ => format!("{}\n{}", style.paint(Tone::Strong, title), paragraph(style, Tone::Faint, aside)),
    };
    format!("{head}{body}")
}
