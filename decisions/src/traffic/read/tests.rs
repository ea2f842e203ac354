//! Traces as people and public data sets write them, and how they can be broken.

use proptest::prelude::*;

use super::*;

/// Azure's trace of a conversation service, as it is published.
pub(crate) const CONV: &[u8] =
    include_bytes!("../../../../tests/fixtures/traces/AzureLLMInferenceTrace_conv.csv");

fn times(file: &TraceFile) -> Vec<u64> {
    file.trace.arrivals().iter().map(|arrival| arrival.time_ns).collect()
}

fn read_text(text: &str) -> Result<TraceFile, TrafficError> {
    read(text.as_bytes(), MOST_REQUESTS)
}

#[test]
fn azures_trace_is_read_whole() {
    let file = read(CONV, MOST_REQUESTS).unwrap();
    assert_eq!((file.format, file.caveats), (TraceFormat::Azure, vec![]));
    let trace = file.trace;
    assert!(trace.has_tokens());
    assert_eq!(trace.len(), 19_366);
    let (first, last) = (trace.arrivals()[0], *trace.arrivals().last().unwrap());
    assert_eq!((first.time_ns, first.tokens_in, first.tokens_out), (0, 374, 44));
    // 19:14:08.4025270 − 18:15:46.6805900; the last line has no end.
    assert_eq!((last.time_ns, last.tokens_in, last.tokens_out), (3_501_721_937_000, 197, 183));
    assert!((trace.mean_per_s() - 19_365.0 / 3_501.721_937).abs() < 1e-9);
    assert!(trace.cv_squared() > 1.0, "{}", trace.cv_squared());
}

#[test]
fn one_trace_in_many_spellings() {
    for (text, format) in [
        ("0,10,2\n1.5,20,3\n2,30,4\n", TraceFormat::Csv),
        ("timestamp,tokens in,tokens out\r\n0,10,2\r\n1.5,20,3\r\n2,30,4", TraceFormat::Csv),
        (
            "\u{feff}\n\nOutput Tokens;Prompt-Tokens;time_ms\n2;10;0\n\n3;20;1500\n4;30;2000\n",
            TraceFormat::Csv,
        ),
        (
            "ts_ns\tmodel\tinput_length\toutput_length\n5\ta\t10\t2\n1500000005\tb\t20\t3\n2000000005\tc\t30\t4\n",
            TraceFormat::Csv,
        ),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 23:59:59.0,10,2\n2023-11-17 00:00:00.5,20,3\n2023-11-17 00:00:01,30,4\n",
            TraceFormat::Azure,
        ),
        (
            "{\"timestamp\": 0, \"tokens_in\": 10, \"tokens_out\": 2}\n\n{\"x\":[{}],\"timestamp\": 1.5, \"tokens_in\": 20, \"tokens_out\": 3}\r\n{\"tokens_out\": 4, \"tokens_in\": 30, \"timestamp\": 2}",
            TraceFormat::Jsonl,
        ),
        (
            "{\"timestamp\": 27000, \"input_length\": 10, \"output_length\": 2, \"hash_ids\": [1,2]}\n{\"timestamp\": 28500, \"input_length\": 20, \"output_length\": 3, \"hash_ids\": []}\n{\"timestamp\": 29000, \"input_length\": 30, \"output_length\": 4, \"hash_ids\": []}\n",
            TraceFormat::Jsonl,
        ),
        (
            "{\"arrived_at\":\"2024-02-28T10:00:00+01:00\",\"isl\":10,\"osl\":2}\n{\"arrived_at\":\"2024-02-28T09:00:01.5Z\",\"isl\":20,\"osl\":3}\n{\"arrived_at\":\"2024-02-28 09:00:02\",\"isl\":30,\"osl\":4}\n",
            TraceFormat::Jsonl,
        ),
    ] {
        let file = read_text(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(file.format, format, "{text}");
        assert_eq!(times(&file), [0, 1_500_000_000, 2_000_000_000], "{text}");
        let tokens: Vec<_> =
            file.trace.arrivals().iter().map(|arrival| (arrival.tokens_in, arrival.tokens_out)).collect();
        assert_eq!(tokens, [(10, 2), (20, 3), (30, 4)], "{text}");
    }
}

#[test]
fn only_times_are_enough() {
    let file = read_text("arrival\n0\n5\n").unwrap();
    assert!(!file.trace.has_tokens());
    assert_eq!(file.caveats, [TraceCaveat::UnitAssumed { unit: Unit::Seconds }]);
    let half = read_text("time_s,prompt tokens\n0,4\n5,9\n").unwrap();
    assert!(!half.trace.has_tokens());
    assert_eq!(half.caveats, [TraceCaveat::HalfTheTokens]);
}

/// Lengths under names that are not known must not go unseen.
#[test]
fn columns_that_are_not_read_are_named_with_the_names_that_are() {
    for (text, columns) in [
        ("timestamp,in,out\n0,5000,500\n5,5000,500\n", vec!["in", "out"]),
        (
            "{\"timestamp\": 0, \"out\": 500, \"in\": 5000}\n{\"timestamp\": 5, \"extra\": 1}\n",
            vec!["in", "out"],
        ),
        ("time_s;answer;prompt tokens;\n0;500;5000;\n5;500;5000;\n", vec!["answer"]),
    ] {
        let file = read_text(text).unwrap();
        assert!(!file.trace.has_tokens(), "{text}");
        let found = file.caveats.iter().find(|caveat| matches!(caveat, TraceCaveat::NotRead { .. }));
        let columns = columns.into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(found, Some(&TraceCaveat::NotRead { columns: columns.clone() }), "{text}");
        let said = found.unwrap().to_string();
        let all = columns.iter().map(String::as_str);
        for part in all.chain(["tokens_in (contexttokens, ", "tokens_out (generatedtokens, ", "not read"]) {
            assert!(said.contains(part), "{said}");
        }
    }
    // Beside both numbers of tokens, and where there is no other column, nothing is missing.
    for text in ["time_s,model,isl,osl\n0,a,1,1\n5,b,1,1\n", "time_s\n0\n5\n"] {
        assert!(read_text(text).unwrap().caveats.is_empty(), "{text}");
    }
    let wide = format!("time_s,{}\n0\n5\n", vec!["x".repeat(9_000); 90].join(","));
    assert!(read_text(&wide).unwrap().caveats[0].to_string().len() < 1_000);
}

#[test]
fn what_is_odd_is_a_caveat() {
    let file = read_text("time_s,tokens in,tokens out\n0,1,1\n9,0,1\n4,1,1\n5,1,0\n").unwrap();
    assert_eq!(times(&file), [0, 4_000_000_000, 5_000_000_000, 9_000_000_000]);
    assert_eq!(
        file.caveats,
        [TraceCaveat::Unsorted { requests: 2, line: 4 }, TraceCaveat::NoTokens { requests: 2 }]
    );
    let rows: String = (0..300).map(|i| format!("{}\n", i + if i < 150 { 0 } else { 3600 })).collect();
    let gap = read_text(&format!("time_s\n{rows}")).unwrap();
    assert_eq!(gap.caveats, [TraceCaveat::Gap { after_ns: 149_000_000_000, length_ns: 3_601_000_000_000 }]);
    let said = gap.caveats[0].to_string();
    assert_eq!(said, "the trace has a gap of 60 min 01 s after 2 min 29 s");
}

#[test]
fn broken_traces_name_the_line() {
    let long = "7".repeat(3 << 20);
    for (text, says) in [
        ("", "it has no requests"),
        ("\n\r\n  \n", "it has no requests"),
        ("timestamp,tokens in,tokens out\n", "it has no requests"),
        ("timestamp\n5\n", "1 request has no rate"),
        ("5\n5\n5\n", "3 requests at one instant have no rate"),
        ("timestamp\n5\n\n\nx\n", "line 5 of the trace: `x` is no time"),
        ("timestamp\n5\n-3\n", "line 3 of the trace: the time `-3` is negative"),
        ("-5\n3\n", "line 1 of the trace: the time `-5` is negative"),
        (
            "time_s,tokens in,tokens out\n1,2,3\n2,-2,3\n",
            "line 3 of the trace: `-2` is no number of tokens in",
        ),
        ("time_s,tokens in,tokens out\n1,2,3\n2,2,1.5\n", "`1.5` is no number of tokens out"),
        ("time_s,tokens in,tokens out\n1,2,3\n2,2,1e12\n", "`1e12` is no number of tokens out"),
        ("time_s,tokens in,tokens out\n1,2,3\n2,2\n", "line 3 of the trace: it has no tokens out"),
        (
            "tokens in,tokens out,time_s\n1,2,3\n2,2\n",
            "line 3 of the trace: it has 2 columns, and the time would be column 3",
        ),
        ("who,what\na,b\n", "line 1 of the trace: none of its columns is a time"),
        (
            "time_s\n1\n900000000000\n",
            "line 3 of the trace: the time `900000000000` lies after the year 2200",
        ),
        ("time_s\n1\n900000000\n", "line 3 of the trace: the time `900000000` lies more than ten years"),
        ("[{\"timestamp\": 1}]", "line 1 of the trace: a JSON array"),
        ("{\"timestamp\": 1}\n{\"timestamp\": }\n", "line 2 of the trace: it is no JSON object"),
        ("{\"timestamp\": 1}\n\n{\"time\": null}\n", "line 3 of the trace: it has no time"),
        ("{\"timestamp\": 1}\n[1]\n", "line 2 of the trace: it is no JSON object"),
        ("{\"when\": 1}\n", "line 1 of the trace: none of its columns is a time"),
        (long.as_str(), "at line 1"),
    ] {
        let error = read_text(text).map(|file| file.trace.len()).unwrap_err();
        assert!(error.to_string().contains(says), "{text:.200}: {error}");
    }
    let binary = read(&b"timestamp\n1\n\xff\xfe\n"[..], 10).unwrap_err();
    assert_eq!(binary.to_string(), "read line 3 of the trace: it is not text in UTF-8: is this a trace?");
    for wide in [&b"t\0i\0m\0e\0\n\0"[..], b"{\0\n\0}\0"] {
        let no_mark = read(wide, 10).unwrap_err().to_string();
        assert!(
            no_mark.contains("line 1 of the trace") && no_mark.contains("iconv -f UTF-16LE"),
            "{no_mark}"
        );
    }
    let many = read("1\n2\n3\n4\n".as_bytes(), 3).unwrap_err();
    assert!(many.to_string().starts_with("read line 4 of the trace: more than 3 requests"), "{many}");
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes[..], 10);
    }

    #[test]
    fn nothing_that_looks_like_a_trace_panics(text in "(timestamp(,isl,osl)?\n)?([-0-9.e:TZ ,;{}\"a-c]{0,20}\n){0,9}") {
        if let Ok(file) = read(text.as_bytes(), 10) {
            prop_assert!(file.trace.len() >= 2 && file.trace.duration_ns() > 0);
            prop_assert!(file.trace.mean_per_s().is_finite() && file.trace.cv_squared().is_finite());
        }
    }

    #[test]
    fn what_was_written_is_read(
        rows in prop::collection::vec((0u64..10_000_000_000_000, 0u32..100_000, 0u32..100_000), 2..50), crlf in prop::bool::ANY,
    ) {
        prop_assume!(rows.iter().any(|row| row.0 != rows[0].0));
        let end = if crlf { "\r\n" } else { "\n" };
        let body: Vec<String> = rows.iter().map(|(time, tokens_in, tokens_out)| format!("{time},{tokens_in},{tokens_out}")).collect();
        let file = read_text(&format!("time_ns,tokens in,tokens out{end}{}", body.join(end))).unwrap();
        let mut expected: Vec<Arrival> = rows.iter().map(|(time_ns, tokens_in, tokens_out)| Arrival { time_ns: *time_ns, tokens_in: *tokens_in, tokens_out: *tokens_out }).collect();
        expected.sort_unstable();
        let first = expected[0].time_ns;
        expected.iter_mut().for_each(|arrival| arrival.time_ns -= first);
        prop_assert_eq!(file.trace.arrivals(), &expected[..]);
    }
}
