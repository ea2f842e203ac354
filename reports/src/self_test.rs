//! The lines of a self-test.

use coldstart_profiles::{SelfTestLine, SelfTestReport, SelfTestStatus};

use crate::style::{Style, Tone};
use crate::text::paragraph;

/// Columns of the name; a longer one moves what follows to the right.
const NAME: usize = 20;
/// Columns of the longest status.
const STATUS: usize = 7;

/// One check as one line: `passed  kernel  rms_norm  48 cases, …`. What the device said is shown and not obeyed.
pub fn self_test_line(line: &SelfTestLine, style: &Style) -> String {
    let tone = match line.status {
        SelfTestStatus::Passed => Tone::Good,
        SelfTestStatus::Failed => Tone::Bad,
        SelfTestStatus::Skipped => Tone::Faint,
    };
    // Escape sequences have no width: what is painted is padded by hand.
    let name = line.status.name();
    let status = format!("{}{:pad$}", style.paint(tone, name), "", pad = STATUS - name.len());
    let [area, name, found] = [&line.area, &line.name, &line.found].map(|text| style.clean(text));
    let elapsed = style.clean(&line.elapsed_ns.to_string());
    format!("{status} {area:6} {name:NAME$}  {found} ({elapsed})\n")
}

/// What the lines come to.
pub fn self_test_totals(report: &SelfTestReport, style: &Style) -> String {
    let described = report.described.as_deref().unwrap_or("could not be opened");
    let stand_in = if report.stand_in {
        " It is a STAND-IN driver: what passed says something about coldstart, and nothing about a GPU."
    } else {
        ""
    };
    let counts: Vec<String> = [SelfTestStatus::Passed, SelfTestStatus::Failed, SelfTestStatus::Skipped]
        .into_iter()
        .map(|status| format!("{} {}", report.count(status), status.name()))
        .collect();
    let tone = if report.passed() { Tone::Good } else { Tone::Bad };
    let text =
        format!("{}: {described}. {}, seed {}.{stand_in}", report.device, counts.join(", "), report.seed);
    paragraph(style, tone, &text)
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Nanos;

    use super::*;

    const STYLE: Style = Style { width: 120, color: false, unicode: true };

    fn line(status: SelfTestStatus, found: &str) -> SelfTestLine {
        SelfTestLine {
            area: "kernel".to_owned(),
            name: "rms_norm".to_owned(),
            status,
            found: found.to_owned(),
            elapsed_ns: Nanos::from_millis(12),
        }
    }

    #[test]
    fn a_line_is_one_line_whatever_the_device_says() {
        let text = self_test_line(&line(SelfTestStatus::Failed, "a\nb\x1b[31m"), &STYLE);
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.contains('\x1b') && text.starts_with("failed  kernel rms_norm "), "{text:?}");
    }

    #[test]
    fn totals_tell_a_stand_in() {
        let mut report = SelfTestReport {
            device: "cuda:0".to_owned(),
            described: Some("NVIDIA H100".to_owned()),
            stand_in: false,
            seed: 7,
            lines: vec![line(SelfTestStatus::Passed, "fine"), line(SelfTestStatus::Skipped, "no")],
        };
        let text = self_test_totals(&report, &STYLE);
        assert!(text.contains("1 passed, 0 failed, 1 skipped, seed 7") && report.passed(), "{text}");
        report.stand_in = true;
        report.lines.push(line(SelfTestStatus::Failed, "wrong"));
        assert!(self_test_totals(&report, &STYLE).contains("STAND-IN") && !report.passed());
    }
}
