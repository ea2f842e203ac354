//! How text looks on the terminal that it is for, and what untrusted text may not do there.

use tabled::settings::Color;

/// The terminal that a report is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal. Tables keep to it from 40 columns on, and use at most 140.
    pub width: usize,
    /// Whether escape sequences may set colours. The caller knows of `NO_COLOR` and of pipes.
    pub color: bool,
    /// Whether characters beyond ASCII can be shown.
    pub unicode: bool,
}

/// Text that is not for a terminal: files, messages, other tools.
pub(crate) const PLAIN: Style = Style { width: 120, color: false, unicode: true };

/// Below this width tables are laid out as if there were this many columns.
const LEAST_WIDTH: usize = 40;
/// Wider tables are harder to read, not easier.
const LARGEST_WIDTH: usize = 140;
/// Longer pieces of untrusted text are cut: a name of a megabyte must not bury the numbers.
const LONGEST_TEXT: usize = 600;

/// What a piece of text means, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Ordinary text.
    #[default]
    Plain,
    /// Headings and totals.
    Strong,
    /// Conditions, units, asides.
    Faint,
    /// Bars and curves.
    Accent,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Failed or missing.
    Bad,
}

impl Tone {
    /// The colour; `None` for ordinary text.
    pub(crate) fn color(self) -> Option<Color> {
        match self {
            Tone::Plain => None,
            Tone::Strong => Some(Color::BOLD),
            Tone::Faint => Some(Color::DIMMED),
            Tone::Accent => Some(Color::FG_CYAN),
            Tone::Good => Some(Color::FG_GREEN),
            Tone::Warn => Some(Color::FG_YELLOW),
            Tone::Bad => Some(Color::FG_RED | Color::BOLD),
        }
    }
}

impl Style {
    /// Columns that tables are laid out for.
    pub(crate) fn columns(&self) -> usize {
        self.width.clamp(LEAST_WIDTH, LARGEST_WIDTH)
    }

    /// One line of text that shows every character and obeys none: control characters, escape sequences and marks
    /// that turn the direction of writing appear as `\u{1b}`; white space is a space; the text is cut after 600
    /// characters. Without Unicode, other characters are spelt in ASCII where there is a usual way, else `?`.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len().min(LONGEST_TEXT));
        for (index, c) in text.trim().chars().enumerate() {
            if index == LONGEST_TEXT {
                clean.push_str(" … (cut)");
                break;
            }
            match c {
                c if c.is_whitespace() && !is_line_break(c) => clean.push(' '),
                '\n' | '\r' => clean.push(' '),
                c if obeyed(c) => clean.extend(c.escape_unicode()),
                c => clean.push(c),
            }
        }
        if self.unicode { clean } else { to_ascii(&clean) }
    }

    /// The same for a cell that may be padded on the left to line up with others.
    pub(crate) fn clean_aligned(&self, text: &str) -> String {
        let padding = text.len() - text.trim_start_matches(' ').len();
        format!("{:padding$}{}", "", self.clean(text), padding = padding.min(LONGEST_TEXT))
    }

    /// Clean text in the colour of its tone.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let text = self.clean(text);
        match tone.color().filter(|_| self.color) {
            Some(color) => color.colorize(text),
            None => text,
        }
    }
}

/// Line and paragraph separators, which `char::is_whitespace` counts as well.
fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a terminal acts on a character instead of showing it: C0 and C1 controls, marks of direction (UAX #9) and
/// joining, variation selectors, and tags.
pub(crate) fn obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e01ef}')
}

/// Messages are cut after so many characters.
const LONGEST_MESSAGE: usize = 4_000;

/// A message that may quote anything, for a terminal: what it would obey is spelt out, and more than 4000 characters are cut.
/// Lines stay lines.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(LONGEST_MESSAGE));
    for (index, c) in text.chars().enumerate() {
        match c {
            _ if index == LONGEST_MESSAGE => {
                shown.push_str(" … (cut)");
                break;
            }
            '\n' | '\t' => shown.push(c),
            c if obeyed(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// The same JSON, in which every character that a terminal would obey is written as an escape.
pub fn harmless_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        // Between strings there are only spaces and line feeds; within them the writer has escaped those below U+0020.
        if obeyed(c) && c != '\n' {
            let mut units = [0; 2];
            shown.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The usual spelling in ASCII.
fn to_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => ascii.push(c),
            'µ' | 'μ' => ascii.push('u'),
            '×' => ascii.push('x'),
            '÷' => ascii.push('/'),
            '±' => ascii.push_str("+-"),
            '·' => ascii.push('-'),
            '–' | '—' | '−' => ascii.push('-'),
            '…' => ascii.push_str("..."),
            '≤' => ascii.push_str("<="),
            '≥' => ascii.push_str(">="),
            '²' => ascii.push_str("^2"),
            '→' => ascii.push_str("->"),
            'α' => ascii.push('a'),
            'β' => ascii.push('b'),
            'γ' => ascii.push('c'),
            '“' | '”' => ascii.push('"'),
            '‘' | '’' => ascii.push('\''),
            _ => ascii.push('?'),
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(unicode: bool) -> Style {
        Style { width: 80, color: true, unicode }
    }

    #[test]
    fn untrusted_text_is_shown_not_obeyed() {
        for (text, shown) in [
            ("plain", "plain"),
            ("a\nb\r\nc\td", "a b  c d"),
            ("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("a\u{200b}b\u{7}", "a\\u{200b}b\\u{7}"),
            ("\u{2028}x\u{85}", "x"),
        ] {
            assert_eq!(style(true).clean(text), shown, "{text:?}");
        }
        assert!(style(true).clean(&"x".repeat(1_000_000)).chars().count() < 700);
    }

    #[test]
    fn messages_and_json_keep_what_they_say() {
        assert_eq!(harmless("a\nb\u{1b}[2J\u{202e}"), "a\nb\\u{1b}[2J\\u{202e}");
        assert!(harmless(&"x".repeat(10_000_000)).chars().count() < 4_100);
        let text = "a\"\u{1b}\u{9b}\u{202e}\u{e0041}é\n";
        let json = format!("{:#}", serde_json::json!({ text: [text] }));
        let shown = harmless_json(&json);
        assert!(!shown.contains(|c| obeyed(c) && c != '\n') && shown.contains("\\udb40\\udc41"), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            serde_json::from_str::<serde_json::Value>(&json).unwrap()
        );
    }

    #[test]
    fn without_unicode_everything_is_ascii() {
        assert_eq!(style(false).clean("3 µs × 2 ± 1 – 漢…"), "3 us x 2 +- 1 - ?...");
    }

    #[test]
    fn colour_is_the_callers_choice() {
        assert_eq!(style(true).paint(Tone::Good, "ok"), "\u{1b}[32mok\u{1b}[39m");
        assert_eq!(Style { color: false, ..style(true) }.paint(Tone::Good, "ok"), "ok");
    }
}
