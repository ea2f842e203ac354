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
        let part = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
        bar.extend((eighths % 8).checked_sub(1).map(|index| part[index]));
    } else {
        bar.push_str(&"#".repeat(eighths.div_ceil(8)));
    }
    bar
}

/// How much of the least value the highest one must exceed it by to fill the curve's height: noise stays low.
const FULL_HEIGHT: f64 = 1.25;

/// A curve of at most `width` characters, logarithmic in both directions: a warm-up happens in the first iterations, and
/// a first one that is many times slower must not flatten those after it. Each character is the median of its stretch;
/// the first is the first value by itself.
pub(crate) fn curve(unicode: bool, width: usize, values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];
    let levels = if unicode { BLOCKS } else { ASCII };
    // Below a nanosecond there is nothing to tell apart.
    let heights: Vec<f64> = stretches(values.len(), width)
        .into_iter()
        .filter_map(|stretch| values.get(stretch))
        .map(|stretch| {
            let mut sorted = stretch.to_vec();
            sorted.sort_by(f64::total_cmp);
            sorted[(sorted.len() - 1) / 2].max(1.0).ln()
        })
        .collect();
    let least = heights.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = heights.iter().copied().fold(0.0, f64::max);
    let range = (largest - least).max(FULL_HEIGHT.ln());
    let level = |height: f64| ((height - least) / range * 7.0).round() as usize;
    heights.into_iter().map(|height| levels[level(height).min(7)]).collect()
}

/// At most `width` stretches that cover `0..n`: the first index by itself, then each longer than the one before by about
/// the same factor.
fn stretches(n: usize, width: usize) -> Vec<std::ops::Range<usize>> {
    let mut begin = 0;
    let mut stretches = Vec::new();
    for index in 1..=width {
        if begin >= n {
            break;
        }
        // What is left, shared out geometrically over the characters that are left.
        let left = width - index;
        let grown = (n as f64).powf(index as f64 / width as f64).round() as usize;
        let end = match (left, begin) {
            (0, _) => n,
            (_, 0) => 1,
            _ => grown.clamp(begin + 1, n),
        };
        stretches.push(begin..end);
        begin = end;
    }
    stretches
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
    fn a_slow_first_iteration_shows_at_every_width() {
        let values: Vec<f64> = (0..160).map(|index| if index == 0 { 9e6 } else { 1e6 }).collect();
        for width in 2..60 {
            let text = curve(true, width, &values);
            assert!(text.starts_with("█▁") && text.matches('█').count() == 1, "{width}: {text}");
        }
    }

    #[test]
    fn stretches_cover_everything_once() {
        for (n, width) in
            [(0, 5), (1, 5), (5, 5), (6, 5), (160, 17), (500, 40), (1_000_000, 3), (7, 1), (7, 0)]
        {
            let stretches = stretches(n, width);
            assert!(stretches.len() <= width);
            let covered: Vec<usize> = stretches.iter().cloned().flatten().collect();
            assert_eq!(covered, (0..if width == 0 { 0 } else { n }).collect::<Vec<_>>(), "{n} {width}");
            assert!(n == 0 || width < 2 || stretches[0] == (0..1), "{n} {width}");
        }
    }

    #[test]
    fn a_slow_first_iteration_shows_and_noise_does_not() {
        let mut values = vec![1e6; 400];
        values[0] = 9e6;
        values[200] = 40e6;
        let text = curve(true, 20, &values);
        assert_eq!(
            (text.chars().count(), text.chars().next(), text.chars().nth(1)),
            (20, Some('█'), Some('▁'))
        );
        assert_eq!(text.matches('█').count(), 1, "one spike is not a level: {text}");
        assert_eq!(curve(true, 20, &[100.0, 101.0, 102.0]), "▁▁▂");
        assert_eq!(curve(true, 20, &[8e6, 4e6, 2e6, 1e6]), "█▆▃▁", "each halving is one step");
        assert_eq!(curve(false, 20, &[4.0, 1.0]), "#_");
        assert_eq!(curve(true, 20, &[]), "");
        assert_eq!(curve(true, 20, &[0.0]), "▁");
    }
}
