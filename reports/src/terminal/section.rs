//! Headings.

use tabled::grid::util::string::get_string_width;

use crate::style::{Style, Tone};
use crate::text::paragraph;

/// A heading with its conditions behind it, then the body. Nothing without a body.
pub(crate) fn section(style: &Style, title: &str, aside: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    let width = |text: &str| get_string_width(&style.clean(text));
    if !aside.is_empty() && width(title) + width(aside) + 2 <= style.columns() {
        return format!("{}  {}\n{body}", style.paint(Tone::Strong, title), style.paint(Tone::Faint, aside));
    }
    format!("{}{}{body}", heading(style, title), paragraph(style, Tone::Faint, aside))
}

/// A heading by itself; one that is wider than the terminal is broken between words.
pub(crate) fn heading(style: &Style, title: &str) -> String {
    if get_string_width(&style.clean(title)) <= style.columns() {
        return format!("{}\n", style.paint(Tone::Strong, title));
    }
    paragraph(style, Tone::Strong, title)
}
