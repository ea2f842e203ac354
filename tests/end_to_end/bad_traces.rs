//! `coldstart plan --trace` on what people and tools write: what is wrong is named with its line and the remedy, what is only odd is said.

use coldstart_profiles::exit;

use crate::plan::profile;
use crate::support::{Scratch, words};

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    profile().write(&scratch.path("p.json")).unwrap();
    scratch
}

/// One request each second, from a moment on.
fn seconds(from: u64, count: u64) -> String {
    (from..from + count).map(|second| format!("{second},100,10\n")).collect()
}

#[test]
fn broken_traces_are_refused_with_the_line() {
    let scratch = scratch();
    let line =
        "plan p.json --slo-p99 60s --assume-cold-p99 60s --tokens-in 100 --tokens-out 10 --trace t.csv";
    for (text, parts) in [
        ("", vec!["t.csv", "no requests"]),
        ("\r\n\r\n", vec!["no requests"]),
        ("time_s,tokens in,tokens out\r\n", vec!["no requests"]),
        ("time_s,tokens in,tokens out\n5,100,10\n", vec!["1 request has no rate"]),
        ("time_s\n5\n5\n5\n", vec!["3 requests at one instant", "different times"]),
        ("time_s\n1\n-2\n", vec!["line 3", "`-2` is negative"]),
        ("time_s\n1\n1e300\n", vec!["line 3", "1e300"]),
        ("time_s\n1\nNaN\n", vec!["line 3", "NaN"]),
        ("time_s\n1\n900000000000\n", vec!["line 3", "after the year 2200"]),
        ("time_s\n1\n900000000\n", vec!["line 3", "more than ten years"]),
        ("time_s,tokens in,tokens out\n1,100,10\n2,100\n", vec!["line 3", "no tokens out"]),
        (
            "time_s,tokens in,tokens out\n1,100,10\n2,many,10\n",
            vec!["line 3", "`many` is no number of tokens in"],
        ),
        ("tokens in,tokens out\n100,10\n200,20\n", vec!["line 1", "none of its columns is a time"]),
        ("[{\"timestamp\": 1}]", vec!["a JSON array", "one object a line"]),
        ("{\"timestamp\": 1}\nnonsense\n", vec!["line 2", "no JSON object"]),
        ("time_s\n1\n\u{0}\u{1}\n", vec!["line 3", "is no time"]),
    ] {
        std::fs::write(scratch.path("t.csv"), text).unwrap();
        let ran = scratch.run(&words(line));
        ran.expect_error(exit::USAGE, &parts);
    }
    std::fs::write(scratch.path("t.csv"), b"time_s\n1\n\xff\xfe\n").unwrap();
    scratch.run(&words(line)).expect_error(exit::USAGE, &["line 3", "UTF-8"]);
    scratch
        .run(&words("plan p.json --slo-p99 60s --trace ."))
        .expect_error(exit::USAGE, &["trace", "line 1", "directory"]);
    let wide = |text: &str| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    std::fs::write(scratch.path("t.csv"), wide("time_s\n0\n1\n")).unwrap();
    scratch.run(&words(line)).expect_error(exit::USAGE, &["line 1", "iconv -f UTF-16 -t UTF-8"]);
    // Two requests a nanosecond apart are a billion a second, which nothing carries.
    std::fs::write(scratch.path("t.csv"), "time_ns\n0\n1\n").unwrap();
    scratch.run(&words(line)).expect_error(exit::FAILED, &["1000000000", "10000 replicas"]);
    // Times alone say nothing of how long a language model's requests are.
    std::fs::write(scratch.path("t.csv"), "time_s\n0\n1\n2\n").unwrap();
    scratch
        .run(&words("plan p.json --slo-p99 60s --assume-cold-p99 60s --trace t.csv"))
        .expect_error(exit::USAGE, &["--tokens-in", "--tokens-out"]);
    // Where a column may have been meant to, it is named with the names that are read.
    std::fs::write(scratch.path("t.csv"), "timestamp,in,out\n0,5000,500\n1,5000,500\n").unwrap();
    scratch.run(&words("plan p.json --slo-p99 60s --assume-cold-p99 60s --trace t.csv")).expect_error(
        exit::USAGE,
        &["--tokens-in and --tokens-out", "`in`, `out` are not read", "tokens_in (contexttokens, "],
    );
}

#[test]
fn odd_traces_are_planned_with_and_what_is_odd_is_said() {
    let scratch = scratch();
    let head = "time_s,tokens in,tokens out\n";
    let crlf = format!("{head}{}", seconds(0, 30)).replace('\n', "\r\n");
    let year = 365 * 24 * 3600;
    for (text, flags, part) in [
        (
            format!("{head}9,100,10\n4,100,10\n6,100,10\n"),
            "",
            "2 requests of the trace stood after a later one",
        ),
        (
            format!("{head}{}{}", seconds(0, 200), seconds(9_000, 200)),
            "",
            "the trace has a gap of 146 min 41 s after 3 min 19 s",
        ),
        // A pause of a year takes neither a year nor its memory.
        (format!("{head}{}{}", seconds(0, 200), seconds(year, 200)), "", "the trace has a gap of"),
        (format!("{head}{}{}", seconds(0, 200), seconds(year, 200)), "--simulate", "concurrency, to zero"),
        (crlf.trim_end().to_owned(), "", "30 requests of the trace"),
        (
            format!("{head}{}", seconds(0, 30)),
            "--tokens-in 7 --tokens-out 7",
            "--tokens-in and --tokens-out are not used",
        ),
        ("time_s\n0\n1\n2\n".to_owned(), "--tokens-in 7 --tokens-out 7", "7 tokens in, 7 out"),
        (
            "timestamp,in,out\n0,5000,500\n1,5000,500\n".to_owned(),
            "--tokens-in 7 --tokens-out 7",
            "`in`, `out` are not read",
        ),
        (format!("{head}0,0,10\n5,100,0\n9,100,10\n"), "", "2 requests of the trace have 0 tokens"),
        (format!("{head}9,100,10\n4,100,10\n"), "", "1 request of the trace stood after a later one"),
        // All requests are the shortest that there are: they are told all the same.
        (format!("{head}0,1,1\n5,1,1\n9,1,1\n"), "", "1 tokens in, 1 out"),
        ("0,100,10\n5,100,10\n".to_owned(), "", "have no unit; taken for seconds"),
        ("time_s,tokens in,tokens out\n0,100,10\n9,100,10\n".to_owned(), "", "the trace has 2 requests"),
    ] {
        std::fs::write(scratch.path("t.csv"), &text).unwrap();
        let line = format!("plan p.json --slo-p99 60s --assume-cold-p99 60s --trace t.csv {flags}");
        let ran = scratch.coldstart(&words(&line)).env("COLUMNS", "400").output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert_eq!(ran.status.code(), Some(0), "{text:.60} {flags}\n{stderr}");
        assert_eq!(stderr, "", "{text:.60}");
        // A trace without any oddity has nothing said of it.
        match part.ends_with("requests of the trace") {
            true => assert!(!stdout.contains(part), "{stdout}"),
            false => assert!(stdout.contains(part), "`{part}` is missing for {text:.60}:\n{stdout}"),
        }
    }
}
