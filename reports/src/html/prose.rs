//! Sentences as HTML: escaped, and what stands between backticks as code.

use std::fmt::Write as _;

use crate::text::bind;

/// Text of whatever origin as HTML that obeys none of it.
///
/// Numbers stay on one line with their units.
pub(in crate::html) fn prose(text: &str) -> String {
    let text = bind(text);
    let parts: Vec<&str> = text.split('`').collect();
    let mut html = String::with_capacity(text.len());
    for (index, part) in parts.iter().enumerate() {
        // A backtick without its partner is only that.
        let paired = index % 2 == 1 && index + 1 < parts.len();
        let lonely = index % 2 == 1 && !paired;
        let escaped = escape(part);
        // Writing to a string can't fail.
        let _ = match (paired, lonely) {
            (true, _) => write!(html, "<code>{escaped}</code>"),
            (_, true) => write!(html, "`{escaped}"),
            _ => write!(html, "{escaped}"),
        };
    }
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_code_and_nothing_is_obeyed() {
        for (text, html) in [
            ("run `a --b` again", "run <code>a --b</code> again"),
            ("`x`", "<code>x</code>"),
            ("one ` alone", "one ` alone"),
            ("`a` and ` alone", "<code>a</code> and ` alone"),
            ("`<b>` & \"'", "<code>&lt;b&gt;</code> &amp; &quot;&#39;"),
            ("after 2 min 42 s", "after 2\u{a0}min 42\u{a0}s"),
            ("", ""),
        ] {
            assert_eq!(prose(text), html, "{text}");
        }
    }
}
