//! Bars and small curves out of characters.

/// A bar that begins and ends where its span lies between 0 and `whole`: eighths of a character with Unicode at its
/// right end, whole characters without. A span that is not empty always shows.
pub(crate) fn span(unicode: bool, width: usize, begin: f64, end: f64, whole: f64) -> String {
    if !(whole > 0.0 && end > begin) || width == 0 {
        return String::new();
    }
    let cells = |at: f64| (at / whole).clamp(0.0, 1.0) * width as f64;
    let (begin, end) = (cells(begin), cells(end));
    let first = (begin.floor() as usize).min(width - 1);
    let eighths = (((end - first as f64) * 8.0).round() as usize).clamp(1, (width - first) * 8);
    let mut bar = " ".repeat(first);
    if unicode {
        bar.push_str(&"█".repeat(eighths / 8));
        bar.extend((eighths % 8 > 0).then(|| ['▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8 - 1]));
    } else {
        bar.push_str(&"#".repeat(eighths.div_ceil(8)));
    }
    bar
}

/// How much of the least value the highest one must exceed it by to fill the curve's height: noise stays low.
const FULL_HEIGHT: f64 = 0.25;

/// A curve of at most `width` characters: the first value by itself, since a single slow first iteration is what a
/// warm-up often is, then the median of each stretch of equal length.
pub(crate) fn curve(unicode: bool, width: usize, values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];
    let levels = if unicode { BLOCKS } else { ASCII };
    let Some((first, rest)) = values.split_first().filter(|_| width > 1) else { return String::new() };
    let stretch = rest.len().div_ceil(width - 1).max(1);
    let mut heights = vec![*first];
    heights.extend(rest.chunks(stretch).map(|chunk| {
        let mut sorted = chunk.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() - 1) / 2]
    }));
    let least = heights.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = heights.iter().copied().fold(0.0, f64::max);
    let range = (largest - least).max(least * FULL_HEIGHT);
    let level = |value: f64| if range > 0.0 { ((value - least) / range * 7.0).round() as usize } else { 0 };
    heights.into_iter().map(|value| levels[level(value).min(7)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_where_their_spans_lie() {
        for (begin, end, unicode, ascii) in [
            (0.0, 100.0, "██████████", "##########"),
            (0.0, 5.0, "▌", "#"),
            (50.0, 75.0, "     ██▌", "     ###"),
            (99.99, 100.0, "         █", "         #"),
            (100.0, 100.0, "", ""),
            (0.0, 0.001, "▏", "#"),
            (0.0, f64::NAN, "", ""),
            (-5.0, 500.0, "██████████", "##########"),
        ] {
            assert_eq!(span(true, 10, begin, end, 100.0), unicode, "{begin}-{end}");
            assert_eq!(span(false, 10, begin, end, 100.0), ascii, "{begin}-{end}");
        }
        assert_eq!(span(true, 10, 0.0, 1.0, 0.0), "");
        assert_eq!(span(true, 0, 0.0, 1.0, 1.0), "");
    }

    #[test]
    fn a_slow_first_iteration_shows_and_noise_does_not() {
        let mut values = vec![1.0; 400];
        values[0] = 9.0;
        values[200] = 40.0;
        let text = curve(true, 20, &values);
        assert_eq!((text.chars().count(), text.chars().next(), text.chars().nth(1)), (20, Some('█'), Some('▁')));
        assert_eq!(text.matches('█').count(), 1, "one spike is not a level: {text}");
        assert_eq!(curve(true, 20, &[100.0, 101.0, 102.0]), "▁▁▂");
        assert_eq!(curve(false, 20, &[4.0, 1.0]), "#_");
        assert_eq!(curve(true, 20, &[]), "");
        assert_eq!(curve(true, 20, &[0.0]), "▁");
    }
}
